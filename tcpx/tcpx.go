// Package tcpx serves connections with a function, on a gozd listener or on any
// other.
package tcpx

import (
	"net"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// Serve accepts connections on l and calls handler for each in a goroutine of
// its own. The connection is closed when handler returns. Temporary errors of
// Accept are waited out.
//
// A handler that lives long should watch the connection's Draining channel, and
// return at a message boundary when it is closed, or read by a [Reader] and hand its
// connection on; until it returns, or the group's drain_timeout is over, the old
// generation stays for it. l may be a listener that others have put around gozd's. On one that has none of gozd's
// inside, Draining is never closed.
//
// Serve always returns a non-nil error and closes l. While a gozd listener
// drains, it returns only when the generation may end. A panic of handler is
// not caught.
func Serve(l net.Listener, handler func(listen.Conn)) error {
	ln, ok := listener.FromListener(l)
	if !ok {
		// The struct hides a *net.UnixListener from New, which would have its
		// socket file left behind for a successor that there never is.
		ln = listener.New(struct{ net.Listener }{l}, listener.Options{})
		l = ln
	}
	defer func() { _ = l.Close() }()
	retrying := listener.RetryTemporary(l)
	for {
		c, err := retrying.Accept()
		if err != nil {
			return err // as is: what the listener says
		}
		go serve(ln, c, handler)
	}
}

// serve is a named function, so that goroutine dumps name it.
func serve(ln *listener.Listener, c net.Conn, handler func(listen.Conn)) {
	defer func() { _ = c.Close() }()
	conn, ok := c.(listen.Conn)
	if !ok {
		conn = newLayered(ln, c)
	}
	handler(conn)
}

// layered is a gozd connection below another layer, such as TLS or a limit: reads and writes go through
// the layer, the rest to the connection.
type layered struct {
	listen.Conn
	outer net.Conn
	layer listener.Layer
	wakes bool // a Read may be woken by a deadline
}

func newLayered(ln *listener.Listener, c net.Conn) listen.Conn {
	below, found := listener.FromConn(c)
	if !found {
		ln.Hidden(c)
		return &hidden{Conn: c, group: ln.Group(), draining: ln.Draining()}
	}
	l := &layered{Conn: below, outer: c}
	l.wakes = l.layer.Init(c, below, func(int) bool { return false }) // it moves when the handler says so
	return l
}

func (l *layered) Read(b []byte) (int, error)  { return l.layer.Read(b) }
func (l *layered) Write(b []byte) (int, error) { return l.layer.Write(b) }
func (l *layered) Close() error                { return l.outer.Close() }

func (l *layered) LocalAddr() net.Addr  { return l.outer.LocalAddr() }
func (l *layered) RemoteAddr() net.Addr { return l.outer.RemoteAddr() }

func (l *layered) SetDeadline(t time.Time) error      { return l.outer.SetDeadline(t) }
func (l *layered) SetReadDeadline(t time.Time) error  { return l.outer.SetReadDeadline(t) }
func (l *layered) SetWriteDeadline(t time.Time) error { return l.outer.SetWriteDeadline(t) }

// Handover refuses where the layer may know something of the connection: that cannot be moved.
func (l *layered) Handover(state []byte) error {
	if !l.layer.IsClear() || !l.layer.HasWritten() {
		return listen.ErrNoSuccessor
	}
	if err := l.Conn.Handover(state); err != nil {
		return err
	}
	_ = l.outer.Close() // the layer's part; the socket is not ours any more
	return nil
}

// hidden is a connection that cannot be found below its layers.
type hidden struct {
	net.Conn
	group    string
	draining <-chan struct{}
}

// The methods of listen.Conn.
func (h *hidden) Group() string             { return h.group }
func (h *hidden) Draining() <-chan struct{} { return h.draining }
func (h *hidden) Handover([]byte) error     { return listen.ErrNoSuccessor }
func (h *hidden) State() []byte             { return nil }
func (h *hidden) NetConn() net.Conn         { return h.Conn }
