// Package client asks a daemon's generations on their control sockets, and tells in
// types what they answer. It is what gozdctl stands on, and how the generation that
// serves asks the others.
//
// All calls end when their context does. No generation but the daemon's own is ever
// asked: the lock and the process's start time are checked first, as by process.Find.
package client
