// Package websockets has tests of WebSockets that move, with the libraries that programs have for them. It is a module of its own, so that gozd does not
// require those libraries.
package websockets
