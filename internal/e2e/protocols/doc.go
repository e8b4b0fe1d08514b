// Package protocols tests what the clients of each protocol see of upgrades: HTTP/1,
// TLS, HTTP/2, FastCGI, WebSockets and plain TCP. It has no code but tests.
package protocols
