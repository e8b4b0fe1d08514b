// Package h2move takes a connection of HTTP/2 from one server to another, while no stream is open on it. Neither server knows: it is
// golang.org/x/net/http2's, as it is.
//
// [In] and [Out] follow what both sides say, and know what a new server would have to know. [State] is that, on its
// way. [Restore] brings a new server into the state, by frames made for it, whose answers the client does not
// get. [Gate] holds new streams back, so that the open ones can end first.
//
// Nothing here reads or writes a connection: bytes go in and come out, whatever carries them. What the client says is
// not trusted, nor is the state. The server is: what it says is right.
//
// Not carried are priorities (RFC 9218), by which a server only chooses what to send first.
package h2move
