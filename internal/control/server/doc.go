// Package server is a generation's side of the control socket: HTTP and JSON on a
// Unix socket beside the PID file, for the daemon's user and root. What is said there is in
// package protocol.
//
// A generation has one from when it serves, be it on probation, until it ends. The server
// holds nothing up: a client that does not read costs a generation that ends a second at most.
package server
