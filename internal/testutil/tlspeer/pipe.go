package tlspeer

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe returns a connection in memory that takes whatever is written without waiting. What was written before Close can be read.
// Of the deadlines it knows those for reading, in the past or none, and they count once everything has been read.
func Pipe() (net.Conn, net.Conn) {
	a, b := newStream(), newStream()
	return &end{in: a, out: b}, &end{in: b, out: a}
}

type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	data    bytes.Buffer
	closed  bool // by the writer
	gone    bool // the reader
	late    bool // the reader's deadline is over
}

func newStream() *stream {
	s := new(stream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

type end struct{ in, out *stream }

func (e *end) Read(p []byte) (int, error) {
	s := e.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.gone:
			return 0, net.ErrClosed
		case s.data.Len() > 0:
			return s.data.Read(p)
		case s.closed:
			return 0, io.EOF
		case s.late:
			return 0, os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
}

func (e *end) Write(p []byte) (int, error) {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	if e.out.closed {
		return 0, net.ErrClosed
	}
	e.out.changed.Broadcast()
	return e.out.data.Write(p)
}

// CloseWrite ends what the other side reads.
func (e *end) CloseWrite() error {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	e.out.closed = true
	e.out.changed.Broadcast()
	return nil
}

func (e *end) Close() error {
	_ = e.CloseWrite()
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	e.in.gone = true
	e.in.changed.Broadcast()
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	e.in.late = !t.IsZero() && !t.After(time.Now())
	e.in.changed.Broadcast()
	return nil
}

func (e *end) SetDeadline(t time.Time) error    { return e.SetReadDeadline(t) }
func (e *end) SetWriteDeadline(time.Time) error { return nil }
func (e *end) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "memory", Net: "unix"} }
func (e *end) RemoteAddr() net.Addr             { return e.LocalAddr() }
