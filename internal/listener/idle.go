package listener

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// errEOF is what the reader of a connection gets that has been handed over.
var errEOF = io.EOF

// errStays is for a parked connection that cannot move on, and whose client has to be told.
var errStays = errors.New("listen: it stays")

// IdleReader is the reading side of a connection for an adapter that knows when
// the connection is idle. While the listener drains, an idle connection moves to
// the successor, or ends, or stays, as [Listener.MoveIdle] and
// [Listener.CloseIdle] say; without it, Read would wait for a request that may
// never come. While the listener does not drain, Read costs one look at a channel
// more than the connection's.
//
// An adapter embeds it beside the connection, so that its Read, SetReadDeadline
// and SetDeadline hide the connection's, and calls Init before anything else. The
// methods are safe for concurrent use, as those of net.Conn are.
type IdleReader struct {
	conn Conn
	sock net.Conn
	idle func(n int) bool
	used atomic.Bool // something has been read
	way  Way         // by which it moves; set before Init
	with Cargo       // nil if the way is another than SealedWay

	observe func(b []byte) // sees what is read; nil if nobody does
	wrote   func(n int64)  // is told how much is written; nil if nobody is

	mu       sync.Mutex  // guards what follows, and setting the socket's deadline
	deadline time.Time   // as the program set it
	woken    atomic.Bool // the socket's deadline is Wake's, until Read has seen it; set with mu held
	retired  bool        // another reader has the connection
	program  bool        // it is the program that hands the connection over
	grace    time.Time   // until then a fresh connection is not idle; zero: not decided yet
	ripens   bool        // Wake will be called then
}

// Init prepares r for conn, a connection of a [Listener]. idle is called by Read,
// in the goroutine that reads and only while the listener drains. It reports
// whether nothing of the protocol is under way, neither on the wire nor in a
// buffer, when the program asks for n bytes.
func (r *IdleReader) Init(conn Conn, idle func(n int) bool) { r.initOver(conn, conn.NetConn(), idle) }

// InitSealed is Init for an adapter that reads through layer, in which [FromConn] has found conn: the connection moves with what cargo packs. A Read of
// layer's that a deadline has ended must leave the layer as it was.
func (r *IdleReader) InitSealed(layer net.Conn, conn Conn, cargo Cargo, idle func(n int) bool) {
	r.way, r.with = SealedWay, cargo
	r.initOver(conn, layer, idle)
}

func (r *IdleReader) initOver(conn Conn, sock net.Conn, idle func(n int) bool) {
	r.conn, r.sock, r.idle = conn, sock, idle
	if s, ok := conn.(socket); ok {
		s.part().idle.Store(r)
	}
}

// Read reads from the connection. Once that has been handed over, the error is
// io.EOF. Errors are the socket's own: net/http asserts *net.OpError.
func (r *IdleReader) Read(b []byte) (int, error) {
	asked := r.way != SealedWay
	for {
		if r.isDraining() && r.idle(len(b)) {
			if !asked { // the layer may have read ahead: it is to give what it has, and no more
				asked = true
				r.Wake()
			} else if r.leave() {
				return 0, errEOF
			}
		}
		n, err := r.sock.Read(b)
		if n > 0 && !r.used.Load() {
			r.used.Store(true)
		}
		if n > 0 && r.observe != nil {
			r.observe(b[:n])
		}
		if n > 0 || err == nil || !r.wasWoken(err) {
			return n, r.cutError(err)
		}
	}
}

// cutError is that of the connection. A layer has it from below, and its own io.EOF may be the client's, by a close_notify.
func (r *IdleReader) cutError(err error) error {
	if s, ok := r.conn.(socket); ok && err != nil && r.way != SealedWay {
		err = s.part().cutError(r.sock, err)
	}
	return err
}

// ErrWoken is returned by ReadWoken after a Wake.
var ErrWoken = errors.New("listen: woken")

// WokenReader is a [Conn] that does not leave it to its reader to be woken when its listener drains.
type WokenReader interface {
	Conn

	// ReadWoken is Read, but returns [ErrWoken] when the listener has begun to drain, and at other times: then nothing has been read.
	ReadWoken(b []byte) (int, error)
}

// ReadWoken is Read for whoever sees to itself when the connection moves, by HandOver: it returns ErrWoken after a Wake, and
// nothing has been read.
func (r *IdleReader) ReadWoken(b []byte) (int, error) {
	n, err := r.sock.Read(b)
	if n > 0 && !r.used.Load() {
		r.used.Store(true)
	}
	if n == 0 && err != nil && r.wasWoken(err) {
		return 0, ErrWoken
	}
	return n, r.cutError(err)
}

// waitReadable is Read without reading: it returns nil when there is something
// to read, and io.EOF also when the client has closed the connection.
func (r *IdleReader) waitReadable() error {
	for {
		if r.isDraining() && r.idle(0) {
			if r.leave() {
				return errEOF
			}
			if s, ok := r.conn.(socket); ok && s.part().came.told {
				return errStays // its client can be sent away, but not by us
			}
		}
		err := waitReadable(r.sock)
		if err == nil || !r.wasWoken(err) {
			return err
		}
	}
}

func (r *IdleReader) isDraining() bool {
	select {
	case <-r.conn.Draining():
		return true
	default:
		return false
	}
}

// leave does with the idle connection what the listener says, and reports whether
// it is gone. A connection that stays is read on: what arrives is answered.
func (r *IdleReader) leave() bool {
	s, ok := r.conn.(socket)
	if !ok {
		return false
	}
	rule, now := s.part().ln.idleRule()
	if rule.policy == moveIdle && s.moveOn(r.way, r.with, nil) == nil {
		return true
	}
	forsaken := rule.policy == moveIdle && now.expedited.isSet() && !s.part().ln.MovesBy(r.way) // its successor takes nothing any more
	if (rule.policy == closeIdle || forsaken) && !r.isFresh() {
		endIdle(s) // Read returns what has arrived, and then io.EOF
	}
	return false
}

// IsRefused reports whether the successor has refused the connection, as one does that has no descriptors left, and half of the drain's time
// is over; one with a [Cargo] at once, as what stands against that seldom changes. The connection is offered again each time that it is idle; but from now on its client is told by the next answer that it ends, or
// it would be cut at the deadline between two requests.
func (r *IdleReader) IsRefused() bool {
	s, ok := r.conn.(socket)
	return ok && s.part().isRefused(r.way)
}

// isFresh reports whether nothing has ever been read and the client may still be about to
// send its first request: it has just connected, perhaps by the queue of the
// socket that is closing. It has a second from when this is asked first, or from its adoption.
func (r *IdleReader) isFresh() bool {
	if r.used.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grace.IsZero() {
		r.grace = time.Now().Add(freshGrace)
	}
	left := time.Until(r.grace)
	if left > 0 && !r.ripens {
		r.ripens = true
		time.AfterFunc(left, r.Wake)
	}
	return left > 0
}

// Wake has a Read that waits look again whether the connection is idle and the
// listener drains. Read itself goes on if not: the program notices nothing.
func (r *IdleReader) Wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retired || r.way == SilentWay && r.used.Load() {
		return
	}
	r.woken.Store(true)
	_ = r.sock.SetReadDeadline(longAgo) // an error means that it has just ended
}

// Retire leaves the connection, without a deadline for reading, to whoever reads
// it next and may do so past r: net/http's hijackers, by io.Copy, which prefers the
// socket's own WriteTo. Wake does nothing from then on.
func (r *IdleReader) Retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired, r.deadline = true, time.Time{}
	r.woken.Store(false)
	_ = r.sock.SetReadDeadline(time.Time{})
}

// Unretire undoes Retire for a program that reads by ReadWoken, and hands the connection over itself.
func (r *IdleReader) Unretire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired, r.program = false, true
}

func (r *IdleReader) isHandedOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.program
}

// wasWoken reports whether err is due to Wake, and puts the program's deadline
// back. A program's deadline that has passed, as net/http sets one to stop its
// background read, is not due to Wake.
func (r *IdleReader) wasWoken(err error) bool {
	if !r.woken.Load() || !errors.Is(err, os.ErrDeadlineExceeded) { // net/http ends a read like that with each request
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.woken.Swap(false) {
		return false
	}
	_ = r.sock.SetReadDeadline(r.deadline)
	return r.deadline.IsZero() || r.deadline.After(time.Now())
}

// SetReadDeadline is that of net.Conn. While a Read has yet to see that it was
// woken, the deadline waits for it: without the wake's, that Read could take the
// timeout for the program's, or wait on.
func (r *IdleReader) SetReadDeadline(t time.Time) error {
	r.mu.Lock() // and no defer: net/http does this five times a request
	r.deadline = t
	var err error
	if !r.woken.Load() {
		err = r.sock.SetReadDeadline(t)
	}
	r.mu.Unlock()
	return err
}

// SetDeadline is that of net.Conn.
func (r *IdleReader) SetDeadline(t time.Time) error {
	if err := r.SetReadDeadline(t); err != nil {
		return err
	}
	return r.sock.SetWriteDeadline(t)
}
