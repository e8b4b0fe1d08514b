// Package tlsrec goes on with a server's connection of TLS 1.3 whose handshake another process has made: a record
// layer over the ciphers of the standard library, which answers as crypto/tls does, and whose state can be taken out
// for the next process.
//
// Two processes that write a record of the same number under the same key give AES-GCM's key away (RFC 5116, 5.1.1).
// So a state is used once: [Server] clears it, and [Conn.Freeze] takes it from a connection that writes nothing from
// then on.
package tlsrec
