// Package tlswatch has connections of crypto/tls move to another process. A [Conn] lies below a [tls.Conn], follows the
// records that go through it, and knows at each moment with which keys and numbers package tlsrec can go on with them.
//
// crypto/tls tells its secrets by KeyLogWriter, and nothing of what comes later: no KeyUpdate, no sequence number. Those
// are counted here, and what is counted is believed only with a proof: the last record of each direction must open as
// the one that it is said to be, before the connection moves ([Conn.Freeze]), and what tls.Conn would write next must
// be what the other process writes next ([Conn.Audit]). Where there is no proof the connection stays.
//
// # What is kept for the proof
//
// The last record of each direction, whole, as AES-GCM and ChaCha20-Poly1305 authenticate whole records only. It is kept
// while the connection is in use; once it has been silent for some seconds the record is opened, and what is left is the fact
// that it did. So an idle connection needs some 1.1 KB more than without: this package's Conn, two secrets, and the
// clone of its tls.Config. Records of the largest size, of which transfers of bulk consist, are not kept, so that these cost no
// copy; where such a record was the last one there is no proof until another one follows. While the process drains ([Draining]) they are
// kept as well.
package tlswatch
