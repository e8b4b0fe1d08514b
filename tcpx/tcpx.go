// Package tcpx serves connections with a function, on a gozd listener or on any
// other.
package tcpx

import (
	"net"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// Serve accepts connections on l and calls handler for each in a goroutine of
// its own. The connection is closed when handler returns. Temporary errors of
// Accept are waited out.
//
// A handler that lives long should watch the connection's Draining channel, and
// return at a message boundary when it is closed, or read by a [Reader] and hand its
// connection on; until it returns, or the group's drain_timeout is over, the old
// generation stays for it. On a listener that is not gozd's, Draining is never
// closed.
//
// Serve always returns a non-nil error and closes l. While a gozd listener
// drains, it returns only when the generation may end. A panic of handler is
// not caught.
func Serve(l net.Listener, handler func(listen.Conn)) error {
	if _, ok := listen.FromListener(l); !ok {
		// The struct hides a *net.UnixListener from New, which would have its
		// socket file left behind for a successor that there never is.
		l = listen.New(struct{ net.Listener }{l}, listen.Options{})
	}
	defer func() { _ = l.Close() }()
	patient := listen.Patient(l)
	for {
		c, err := patient.Accept()
		if err != nil {
			return err // as is: what the listener says
		}
		go serve(c, handler)
	}
}

// serve is a named function, so that goroutine dumps name it.
func serve(c net.Conn, handler func(listen.Conn)) {
	defer func() { _ = c.Close() }()
	conn, ok := c.(listen.Conn)
	if !ok { // the listener of an https group puts TLS around it
		below, found := listen.FromConn(c)
		if !found {
			return
		}
		conn = &layered{Conn: below, outer: c}
	}
	handler(conn)
}

// layered is a gozd connection below another layer: reads and writes go through
// the layer, the rest to the connection.
type layered struct {
	listen.Conn
	outer net.Conn
}

func (l *layered) Read(b []byte) (int, error)  { return l.outer.Read(b) }
func (l *layered) Write(b []byte) (int, error) { return l.outer.Write(b) }
func (l *layered) Close() error                { return l.outer.Close() }

// Handover refuses: what the layer knows of the connection cannot be moved.
func (l *layered) Handover([]byte) error { return listen.ErrNoSuccessor }
