// Package proxies tests daemons behind nginx, Apache and lighttpd. It has no code but
// tests.
package proxies
