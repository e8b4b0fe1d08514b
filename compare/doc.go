// Command compare measures what upgrades do to clients: with net/http and kill, with
// the tools for Go, with proxies, and with gozd. All serve the same handler, in one
// run, to the same clients, and each is set up as its own documentation says.
//
//	go run -C compare .          # in a clone of gozd: 40 minutes, three runs
//	go run -C compare . -short   # six minutes
//
// It prints tables, and writes them as CSV files and pictures. With -docs these go
// into docs/compare, and the figures into docs/compare.md. It needs Linux; what a
// machine does not have (nginx, HAProxy, Caddy, modules that cannot be downloaded) is
// left out, and the notes say so. All servers and clients are on loopback.
package main
