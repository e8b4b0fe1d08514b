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
	ln     *Listener
	round  *round // in which it came
	closed atomic.Bool
	moved  atomic.Bool           // the successor has it
	moving atomic.Bool           // it may have it already: nobody shuts the socket down
	stays  atomic.Pointer[round] // in which the successor has refused it
	state  []byte
	came   bool                       // from an older generation
	idle   atomic.Pointer[IdleReader] // where an adapter reads by one
	doing  atomic.Int32               // an Activity
	after  atomic.Pointer[func()]     // see AfterClose
	cut    atomic.Pointer[func()]     // see AtDeadline
	read   atomic.Int64               // bytes read from the connection itself, and not by an adapter
	below  atomic.Pointer[IdleReader] // of an adapter that reads through a layer; see Layer
	batch  Batch                      // noted while there is an Activity
	box    box                        // with the state that it came with
	noted  atomic.Pointer[round]      // in which it was counted as one that stays; see Cargo
	cannot atomic.Pointer[string]     // why it never moves; see Stays
	h2     http2State                 // set before Accept has returned it
	taken  []byte                     // the state of a program that has hijacked it; set before Accept has returned it
}

// Group implements Conn.
func (t *tracked) Group() string { return t.ln.opts.Group }

// Adopted reports whether an older generation has handed the connection over.
func (t *tracked) Adopted() bool { return t.came }

// Draining implements Conn.
func (t *tracked) Draining() <-chan struct{} { return t.round.draining }

// State implements Conn.
func (t *tracked) State() []byte { return t.state }

func (t *tracked) listener() *Listener         { return t.ln }
func (t *tracked) setAdopted(state []byte)     { t.came, t.state = true, state }
func (t *tracked) setMoved()                   { t.moved.Store(true) }
func (t *tracked) setHTTP2(state []byte)       { t.came, t.h2.state = true, state }
func (t *tracked) http2() *http2State          { return &t.h2 }
func (t *tracked) hijacked() *[]byte           { return &t.taken }
func (t *tracked) hasMoved() bool              { return t.moved.Load() }
func (t *tracked) isMoving() bool              { return t.moving.Load() }
func (t *tracked) bytesRead() int64            { return t.read.Load() }
func (t *tracked) setBelow(r *IdleReader)      { t.below.Store(r) }
func (t *tracked) setIdleReader(r *IdleReader) { t.idle.Store(r) }
func (t *tracked) idleReader() *IdleReader     { return t.idle.Load() }
func (t *tracked) setActivity(a Activity)      { t.doing.Store(int32(a)) }
func (t *tracked) activity() Activity          { return Activity(t.doing.Load()) }
func (t *tracked) requests() *Batch            { return &t.batch }

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
	}
	if n > 0 {
		t.read.Add(int64(n))
		if doing != Unknown {
			t.batch.Read(n)
		}
	}
	return n, err
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
		t.box.clear()
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

func (t *tracked) afterClose(f func()) {
	t.after.Store(&f)
	if t.closed.Load() {
		t.runAfter()
	}
}

func (t *tracked) atDeadline(f func()) { t.cut.Store(&f) }

// deadline returns what AtDeadline has left, or nil.
func (t *tracked) deadline() func() {
	if f := t.cut.Load(); f != nil {
		return *f
	}
	return nil
}

// AtDeadline has f called, in a goroutine of its own, when the deadline of a drain comes while the connection below c is open, see
// [FromConn]. Otherwise its receiving side is shut down then, which is right for a protocol with one request at a
// time: what has arrived is answered. One with many can tell its client to stop, and go on. A second later the
// connection is closed in any case. It replaces an earlier f, and reports false where there is no connection of a [Listener] below c.
func AtDeadline(c net.Conn, f func()) bool {
	conn, ok := FromConn(c)
	if !ok {
		return false
	}
	s, ok := conn.(socket)
	if ok {
		s.atDeadline(f)
	}
	return ok
}

// AfterClose has f called once when the connection below c, see [FromConn], is
// closed or handed over; at once if it is already. It replaces an earlier f. It reports false where there is no
// connection of a [Listener] below c, and then f is never called.
func AfterClose(c net.Conn, f func()) bool {
	conn, ok := FromConn(c)
	if !ok {
		return false
	}
	s, ok := conn.(socket)
	if ok {
		s.afterClose(f)
	}
	return ok
}

// socket is a connection in the listener's set.
type socket interface {
	Conn
	CloseRead() error
	listener() *Listener
	offer(socket)
	moveOn(w way, with Cargo, above []byte) error
	keepSealed(state []byte)
	unseal() []byte
	cameSealed() bool
	seal() Cargo
	setCannot(reason string)
	countStay(now *round) (reason string, isNew bool)
	staysIn(*round) bool
	note(now *round, reason string, err error)
	setAdopted(state []byte)
	setHTTP2(state []byte)
	http2() *http2State
	hijacked() *[]byte
	hasMoved() bool
	isMoving() bool
	isRefused() bool
	setIdleReader(*IdleReader)
	idleReader() *IdleReader
	setActivity(Activity)
	activity() Activity
	afterClose(func())
	bytesRead() int64
	setBelow(*IdleReader)
	requests() *Batch
	atDeadline(func())
	deadline() func()
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
