package listener

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection accepted by a [Listener]. It is listen.Conn, which has the contract.
type Conn interface {
	net.Conn
	Group() string
	Draining() <-chan struct{}
	Handover(state []byte) error
	State() []byte
	NetConn() net.Conn
}

// tracked is the part of a connection that its listener knows it by.
type tracked struct {
	ln      *Listener
	round   *round // in which it came
	came    origin
	leaving departure
	closed  atomic.Bool
	shut    atomic.Bool                // its receiving side is shut down, and not by the client
	after   atomic.Pointer[func()]     // see AfterClose
	cut     atomic.Pointer[func()]     // see AtDeadline
	idle    atomic.Pointer[IdleReader] // where an adapter reads by one
	below   atomic.Pointer[IdleReader] // of an adapter that reads through a layer; see Layer
	read    atomic.Int64               // bytes read from the connection itself, and not by an adapter
	doing   atomic.Int32               // an Activity
	batch   Batch                      // noted while there is an Activity
}

// Group implements Conn.
func (t *tracked) Group() string { return t.ln.opts.Group }

// Adopted reports whether an older generation has handed the connection over.
func (t *tracked) Adopted() bool { return t.came.adopted }

// Draining implements Conn.
func (t *tracked) Draining() <-chan struct{} { return t.round.draining }

// State implements Conn. What came for an adapter is none of the program's business.
func (t *tracked) State() []byte {
	if t.came.way != OpenWay {
		return nil
	}
	return t.came.state
}

func (t *tracked) part() *tracked { return t }

func (t *tracked) activity() Activity { return Activity(t.doing.Load()) }

// readFrom reads for whoever has the connection in hand: a program, or a layer over it.
func (t *tracked) readFrom(sock net.Conn, b []byte) (int, error) {
	var n int
	var err error
	doing := t.activity()
	if doing == Idle || doing == Fresh {
		t.batch.Wait(doing == Fresh)
	}
	if r := t.below.Load(); r != nil {
		n, err = r.Read(b)
	} else {
		n, err = sock.Read(b)
		err = t.cutError(sock, err)
	}
	if n > 0 {
		t.read.Add(int64(n))
		if doing != Unknown {
			t.batch.Read(n)
		}
	}
	return n, err
}

// wrote tells a layer over the connection how much has reached the socket.
func (t *tracked) wrote(n int64) {
	if r := t.below.Load(); r != nil && r.wrote != nil && n > 0 {
		r.wrote(n)
	}
}

func (t *tracked) setReadDeadline(sock net.Conn, at time.Time) error {
	if r := t.below.Load(); r != nil {
		return r.SetReadDeadline(at)
	}
	return sock.SetReadDeadline(at)
}

func (t *tracked) setDeadline(sock net.Conn, at time.Time) error {
	if r := t.below.Load(); r != nil {
		return r.SetDeadline(at)
	}
	return sock.SetDeadline(at)
}

// ended takes the connection out of its listener's set. net/http closes a
// connection twice, so only the first call counts.
func (t *tracked) ended(c socket) {
	if t.closed.CompareAndSwap(false, true) {
		t.came.box.clear()
		t.forget(c)
		t.runAfter()
	}
}

func (t *tracked) forget(c socket) {
	t.ln.mu.Lock()
	defer t.ln.mu.Unlock()
	t.ln.conns.remove(c)
	t.ln.checkDrainedLocked()
}

// runAfter calls what AfterClose has left, once.
func (t *tracked) runAfter() {
	if f := t.after.Swap(nil); f != nil {
		(*f)()
	}
}

// AtDeadline has f called, in a goroutine of its own, when the deadline of a drain comes while the connection below c is open, see
// [FromConn]. Otherwise its receiving side is shut down then, which is right for a protocol with one request at a
// time: what has arrived is answered. One with many can tell its client to stop, and go on. A second later the
// connection is closed in any case. It replaces an earlier f, and reports false where there is no connection of a [Listener] below c.
func AtDeadline(c net.Conn, f func()) bool {
	s, ok := socketBelow(c)
	if ok {
		s.part().cut.Store(&f)
	}
	return ok
}

// AfterClose has f called once when the connection below c, see [FromConn], is
// closed or handed over; at once if it is already. It replaces an earlier f. It reports false where there is no
// connection of a [Listener] below c, and then f is never called.
func AfterClose(c net.Conn, f func()) bool {
	s, ok := socketBelow(c)
	if !ok {
		return false
	}
	t := s.part()
	t.after.Store(&f)
	if t.closed.Load() {
		t.runAfter()
	}
	return true
}

// IsSilent reports whether nothing has been read from the connection below c, see [FromConn].
func IsSilent(c net.Conn) bool {
	s, ok := socketBelow(c)
	return ok && s.part().read.Load() == 0
}

// HasMoved reports whether the connection below c, see [FromConn], is the successor's.
func HasMoved(c net.Conn) bool {
	s, ok := socketBelow(c)
	return ok && s.part().leaving.moved.Load()
}

// socket is a connection in the listener's set.
type socket interface {
	Conn
	CloseRead() error
	part() *tracked
	moveOn(w Way, with Cargo, above []byte) error
}

// wrap puts what ln knows of a connection around it.
func wrap(c net.Conn, ln *Listener, now *round) socket {
	switch c := c.(type) {
	case *net.TCPConn:
		return &TCPConn{TCPConn: c, tracked: tracked{ln: ln, round: now}}
	case *net.UnixConn:
		return &UnixConn{UnixConn: c, tracked: tracked{ln: ln, round: now}}
	default:
		return &foreignConn{Conn: c, tracked: tracked{ln: ln, round: now}}
	}
}

var (
	_ socket       = (*TCPConn)(nil)
	_ socket       = (*UnixConn)(nil)
	_ socket       = (*foreignConn)(nil)
	_ syscall.Conn = (*TCPConn)(nil)
	_ syscall.Conn = (*UnixConn)(nil)
)
