package httpx

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// movable is a listener without TLS, whose connections move to the successor
// between two requests of HTTP/1.1.
type movable struct {
	*listener.Listener
	server *Server
}

// Accept returns the next connection, of a type that knows when it is idle. What a program of an older generation had hijacked goes to this one's.
func (l *movable) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err // as is: net/http asserts err.(net.Error)
		}
		came := listener.Take(c, listener.HijackedWay)
		c = l.follow(c)
		if came == nil {
			return c, nil
		}
		l.server.resume(c, came)
	}
}

func (l *movable) follow(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *listener.TCPConn:
		mc := &tcpConn{TCPConn: c}
		mc.reader.init(c, l.server)
		return mc
	case *listener.UnixConn:
		mc := &unixConn{UnixConn: c}
		mc.reader.init(c, l.server)
		return mc
	}
	return c
}

// tcpConn embeds the concrete type, so that sendfile and writev stay the socket's
// own.
type tcpConn struct {
	*listener.TCPConn
	reader reader
}

func (c *tcpConn) Read(b []byte) (int, error)         { return c.reader.Read(b) }
func (c *tcpConn) SetReadDeadline(t time.Time) error  { return c.reader.SetReadDeadline(t) }
func (c *tcpConn) SetDeadline(t time.Time) error      { return c.reader.SetDeadline(t) }
func (c *tcpConn) setState(s http.ConnState)          { c.reader.setState(s) }
func (c *tcpConn) visible() net.Conn                  { return c }
func (c *tcpConn) retire()                            { c.reader.Retire() }
func (c *tcpConn) moves() bool                        { return !c.reader.IsRefused() }
func (c *tcpConn) h2() *reader                        { return &c.reader }
func (c *tcpConn) hijacked() (*reader, listener.Conn) { return &c.reader, c.TCPConn }

// unixConn is tcpConn for Unix sockets.
type unixConn struct {
	*listener.UnixConn
	reader reader
}

func (c *unixConn) Read(b []byte) (int, error)         { return c.reader.Read(b) }
func (c *unixConn) SetReadDeadline(t time.Time) error  { return c.reader.SetReadDeadline(t) }
func (c *unixConn) SetDeadline(t time.Time) error      { return c.reader.SetDeadline(t) }
func (c *unixConn) setState(s http.ConnState)          { c.reader.setState(s) }
func (c *unixConn) visible() net.Conn                  { return c }
func (c *unixConn) retire()                            { c.reader.Retire() }
func (c *unixConn) moves() bool                        { return !c.reader.IsRefused() }
func (c *unixConn) h2() *reader                        { return &c.reader }
func (c *unixConn) hijacked() (*reader, listener.Conn) { return &c.reader, c.UnixConn }

// reader knows when a connection of net/http is idle: when net/http waits for the first byte of a request, and has
// nothing in its buffer. That cannot be told from a read alone. A buffer that asks for as many bytes as it has is empty, but it may have given away
// half a header a moment ago: one that arrived behind the request before (pipelining), up to the end of a line.
//
// So what net/http does between two requests is followed (server.go, conn.serve, go1.25 and go1.26): it says StateIdle, sets a deadline for
// reading, that of the wait, and has its buffer peek, which takes nothing out. When there is something it sets another deadline, that of the header,
// and only then reads on. What it reads between these two deadlines with an empty buffer is the first of a request.
//
// The buffer is as good as empty when all that it has are ends of lines, which clients may send behind a body (RFC 9112, section 2.2): fewer than are
// peeked, and the last that have been read.
//
// A deadline that the program sets meanwhile, or one more of net/http's, makes a connection look busy that is not: it stays, and nothing is lost.
type reader struct {
	listener.IdleReader
	from  io.Reader       // nil: the IdleReader
	phase atomic.Int32    // see below
	blank bool            // empty lines may come first; touched by the goroutine that reads only
	batch *listener.Batch // nil: what is read is counted below
	came  []byte          // the state of HTTP/2 from which it goes on; nil for none
	begin string          // what net/http is to read first; touched by the goroutine that reads only
	full  atomic.Int64    // the size of net/http's buffer; 0 until it is known
	ends  atomic.Int32    // how many bytes of ends of lines, up to three, were read last
	taken atomic.Bool     // by the program (StateHijacked), or by that of an older generation
	rest  []byte          // what was read for a program that has taken it, and not given to it; see hijackedConn
}

// The phases of a connection.
const (
	busy    = iota // a request has begun
	unused         // nothing has been read yet (StateNew)
	ended          // the last request is answered (StateIdle)
	waiting        // and the deadline for the next is set
)

func (r *reader) init(conn listener.Conn, s *Server) {
	r.prepare(conn, s)
	r.Init(conn, r.isIdle)
	if r.came = listener.Take(conn, listener.HTTP2Way); r.came != nil {
		r.begin = http2.ClientPreface
	}
}

func (r *reader) prepare(conn listener.Conn, s *Server) {
	r.full.Store(s.firstFull())
	r.batch = listener.BatchOf(conn)
	// After a POST net/http skips empty lines before the next request (RFC 9112,
	// section 2.2). Here it does not know what came before.
	if a, ok := conn.(interface{ Adopted() bool }); ok {
		r.blank = a.Adopted()
	}
}

// isIdle reports whether the connection is idle when net/http asks for n bytes. Negative says that it does not: it may have got some a moment ago.
func (r *reader) isIdle(n int) bool {
	if n < 0 {
		return false
	}
	switch r.phase.Load() {
	case unused:
		return true
	case waiting:
		has := r.full.Load() - int64(n) // fewer than the four bytes that are peeked
		return has >= 0 && has <= int64(r.ends.Load())
	}
	return false
}

// firstFull is what is known of net/http's buffer before the first read, which
// asks for as much as it holds. But where HTTP/2 may come without TLS, net/http reads just the beginning of its preface
// first, and what it uses by default must do (bufio's defaultBufSize, by
// newBufioReader in net/http's server.go, go1.26).
func (s *Server) firstFull() int64 {
	if s.Protocols != nil && s.Protocols.UnencryptedHTTP2() {
		return 4096
	}
	return 0
}

func (r *reader) setState(s http.ConnState) {
	r.follow(s)
	if s == http.StateHijacked { // io.Copy from it goes past Read, and would take a wake for an error
		r.Retire()
		r.taken.Store(true)
	}
}

func (r *reader) follow(s http.ConnState) {
	switch s {
	case http.StateNew:
		r.phase.Store(unused)
	case http.StateIdle:
		r.phase.Store(ended)
	case http.StateActive:
		r.phase.Store(busy)
		r.batch.Request()
	default:
		r.phase.Store(busy)
	}
}

// SetReadDeadline is that of net.Conn.
func (r *reader) SetReadDeadline(t time.Time) error {
	r.followDeadline()
	return r.IdleReader.SetReadDeadline(t)
}

// SetDeadline is that of net.Conn.
func (r *reader) SetDeadline(t time.Time) error {
	r.followDeadline()
	return r.IdleReader.SetDeadline(t)
}

// followDeadline notes that a deadline for reading is set.
func (r *reader) followDeadline() {
	switch r.phase.Load() {
	case ended:
		r.phase.CompareAndSwap(ended, waiting)
	case waiting:
		r.phase.CompareAndSwap(waiting, busy)
	}
}

// Read is that of net.Conn.
func (r *reader) Read(b []byte) (int, error) {
	if r.begin != "" {
		n := copy(b, r.begin)
		r.begin = r.begin[n:]
		r.phase.Store(busy)
		return n, nil
	}
	if r.isIdle(len(b)) {
		r.batch.Wait(false)
	}
	if r.full.Load() == 0 {
		r.full.Store(int64(len(b)))
	}
	n, err := r.read(b)
	for r.blank && n > 0 && err == nil {
		if n = copy(b, bytes.TrimLeft(b[:n], "\r\n")); n > 0 {
			r.blank = false
			break
		}
		n, err = r.read(b)
	}
	if n > 0 {
		r.batch.Read(n)
		r.countEnds(b[:n])
		if r.phase.Load() != waiting || !r.isIdle(len(b)-n) { // it asks for so many next
			r.phase.Store(busy)
		}
	}
	return n, err
}

// countEnds counts the bytes of ends of lines that have been read last: b, and behind it nothing.
func (r *reader) countEnds(b []byte) {
	const most = 3
	n := int32(0)
	for i := len(b) - 1; i >= 0 && n < most && (b[i] == '\r' || b[i] == '\n'); i-- {
		n++
	}
	was := r.ends.Load()
	if int(n) == len(b) {
		n = min(n+was, most)
	}
	if n != was {
		r.ends.Store(n)
	}
}

func (r *reader) read(b []byte) (int, error) {
	if r.from != nil {
		return r.from.Read(b)
	}
	return r.IdleReader.Read(b)
}
