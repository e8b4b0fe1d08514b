// Package httpx serves HTTP on a gozd listener so that an upgrade loses no
// request. On any other listener it is net/http.
//
// When the listener drains, connections move to the
// successor between two requests, and their clients notice nothing; those over TLS only in an https group with
// move_tls yes, with their keys: see docs/connections.md for what a program sees of that. Where they
// cannot move, responses say "Connection: close"; HTTP/2 connections are sent away
// in two steps (RFC 9113, section 6.8). No connection is closed while it is idle:
// the client's next request may be on its way.
// http.Server.Shutdown is never called, since after it net/http drops requests
// that it has already read.
package httpx
