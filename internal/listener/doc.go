// Package listener gives a network daemon listeners that can be drained: they
// hold Accept until the process is ready, know every connection that they
// accepted, and after an upgrade stop accepting without disturbing what is
// open. Connections that are idle then can move to the successor, by an adapter's
// [IdleReader] or by [Conn].Handover, and that one adopts them by [Arrivals.Reserve].
//
// A [Listener] wraps a *net.TCPListener or a *net.UnixListener. Its connections
// embed the concrete socket type, so that sendfile, splice and writev are the
// socket's own, and implement [Conn].
//
// What a program may know of them is in package listen, with its contract.
//
// The package uses nothing but the standard library and does not log: what
// there is to say comes back as a value, and the caller decides.
package listener
