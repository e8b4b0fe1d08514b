package listen

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options configure a [Listener]. The zero value is valid.
type Options struct {
	// Group is the name that connections report.
	Group string

	// Gate, if non-nil, holds Accept until the channel is closed: a process
	// that may still fail must not take connections from its predecessor.
	Gate <-chan struct{}

	// Release, if non-nil, keeps Accept from returning an error while the
	// listener drains and after it, until the channel is closed. A program
	// that ends when its Serve returns would otherwise cut what another
	// listener still serves. If nil, Accept returns when this listener's own
	// connections are gone.
	Release <-chan struct{}

	// Spread is what [Listener.Spread] returns. If zero or negative, nothing is
	// spread.
	Spread time.Duration

	// OnAccept, if non-nil, is called once, by the first call of Accept and
	// before it waits for Gate.
	OnAccept func()
}

// Listener accepts connections and keeps a set of those that are open. Its
// methods are safe for concurrent use.
type Listener struct {
	inner net.Listener
	opts  Options

	accepting sync.Once     // guards the call of OnAccept
	draining  chan struct{} // closed when the listener stops accepting
	drained   chan struct{} // closed when it drains and the last connection is gone
	closed    chan struct{} // closed by Close
	hurried   chan struct{} // closed by Hurry
	arrived   chan struct{} // has a value when adopted may have a connection
	parked    atomic.Int32  // calls of park

	mu        sync.Mutex      // guards what follows, and the closing of the channels above
	conns     map[socket]bool // what is open; true once it has been counted as cut
	inAccept  int             // calls of inner.Accept whose connection is not in conns yet
	adopted   []socket        // wait for Accept
	whenIdle  idlePolicy
	successor Successor
	idleTime  time.Duration // how long a parked connection waits; 0: for ever
	total     uint64
	in, out   uint64 // connections adopted, and handed over
	cut       int
	stopped   bool          // draining is closed
	gone      bool          // drained is closed
	shut      bool          // closed is closed
	hasHurry  bool          // hurried is closed
	held      chan struct{} // see Hold; nil if it is not

	alone      bool      // no other process accepts from the socket: see EmptyQueue
	emptying   bool      // stopped, but the socket is still open for what waits in its queue
	emptyUntil time.Time // at the latest
	emptyAt    time.Time // if nobody comes
}

// New returns a Listener over inner, which it takes over: it closes inner when
// it drains or is closed. A *net.UnixListener no longer removes its socket file
// on Close, since a successor may listen on it.
func New(inner net.Listener, opts Options) *Listener {
	if u, ok := inner.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return &Listener{
		inner:    inner,
		opts:     opts,
		draining: make(chan struct{}),
		drained:  make(chan struct{}),
		closed:   make(chan struct{}),
		hurried:  make(chan struct{}),
		arrived:  make(chan struct{}, 1),
		conns:    make(map[socket]bool),
	}
}

// Accept waits for the gate and then for the next connection, which implements
// [Conn]: one that the kernel has for this listener, or one that was adopted.
// Errors are those of the wrapped listener, never wrapped: net/http asserts
// err.(net.Error). While the listener drains, Accept waits as Options.Release says;
// then, and after Close, the error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	if l.opts.OnAccept != nil {
		l.accepting.Do(l.opts.OnAccept)
	}
	if !l.waitGate() {
		return l.refuse(l.closedError())
	}
	for {
		l.waitHeld()
		adopted, ok := l.enterAccept()
		if adopted != nil {
			return adopted, nil
		}
		if !ok {
			return l.refuse(l.closedError())
		}
		c, err := l.inner.Accept()
		if err == nil {
			return l.track(c), nil // also while draining: the kernel has already accepted it
		}
		again := l.foundEmpty(err) || errors.Is(err, os.ErrDeadlineExceeded) // only adopting and emptying set a deadline
		l.leaveAccept()
		if !again {
			return l.refuse(err)
		}
	}
}

// waitGate reports whether the gate opened before the listener ended.
func (l *Listener) waitGate() bool {
	if l.opts.Gate == nil {
		return true
	}
	select {
	case <-l.opts.Gate:
		return true // also while draining: the queue may have to be emptied
	default:
	}
	select {
	case <-l.opts.Gate:
		return true
	case <-l.draining:
	case <-l.closed:
	}
	return false
}

// enterAccept returns an adopted connection if one waits. Else it counts a call
// of inner.Accept, so that the listener is not taken for drained while a
// connection is between the kernel and the set; ok is false when there is nothing
// more to accept.
func (l *Listener) enterAccept() (adopted net.Conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if adopted := l.nextAdoptedLocked(); adopted != nil {
		return adopted, true
	}
	if l.stopped && !l.emptying || l.shut {
		return nil, false
	}
	if l.emptying {
		l.postponeLocked()
	}
	l.inAccept++
	return nil, true
}

func (l *Listener) leaveAccept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inAccept--
	l.checkDrainedLocked()
}

// refuse returns err, but late while the listener drains: the program that gets
// it may end the process. Meanwhile it returns connections that were adopted and
// cannot move on.
func (l *Listener) refuse(err error) (net.Conn, error) {
	select {
	case <-l.draining:
	default:
		return nil, err
	}
	release := l.opts.Release
	if release == nil {
		release = l.drained
	}
	for {
		select {
		case <-l.arrived:
			l.mu.Lock()
			adopted := l.nextAdoptedLocked()
			l.mu.Unlock()
			if adopted != nil {
				return adopted, nil
			}
		case <-release:
			return nil, err
		case <-l.closed: // http.Server.Shutdown closes and waits for this Accept
			return nil, err
		}
	}
}

// closedError is the error of a closed net.Listener, to the letter.
func (l *Listener) closedError() error {
	addr := l.inner.Addr()
	return &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: net.ErrClosed}
}

func (l *Listener) track(c net.Conn) net.Conn {
	s := l.wrap(c, nil)
	l.mu.Lock()
	l.inAccept--
	l.total++
	l.conns[s] = false
	l.mu.Unlock()
	return s
}

func (l *Listener) wrap(c net.Conn, state []byte) socket {
	switch c := c.(type) {
	case *net.TCPConn:
		return &TCPConn{TCPConn: c, tracked: tracked{ln: l, state: state}}
	case *net.UnixConn:
		return &UnixConn{UnixConn: c, tracked: tracked{ln: l, state: state}}
	default:
		return &foreignConn{Conn: c, tracked: tracked{ln: l, state: state}}
	}
}

func (l *Listener) untrack(c socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if c.hasMoved() { // counted at once with its end, so that no drain takes it for another kind
		l.out++
	}
	l.checkDrainedLocked()
}

// Close is the program's own end of the listener: it stops accepting and
// releases Accept at once, also while draining. Open connections go on; those that
// were adopted and wait for Accept end, like those in the queue of a socket that is
// closed. Later calls return net.ErrClosed.
func (l *Listener) Close() error {
	waiting, err := l.close()
	for _, c := range waiting {
		_ = c.Close()
	}
	return err
}

// close returns the connections that nobody will accept any more.
func (l *Listener) close() ([]socket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return nil, &net.OpError{Op: "close", Net: l.inner.Addr().Network(), Addr: l.inner.Addr(), Err: net.ErrClosed}
	}
	l.shut = true
	close(l.closed)
	waiting := l.adopted
	l.adopted = nil
	if l.stopped && !l.emptying {
		return waiting, nil // the drain has closed inner
	}
	l.emptying = false
	defer l.checkDrainedLocked()
	return waiting, l.inner.Close()
}

// Addr returns the address of the wrapped listener, also after Close.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Group returns the name given in Options.
func (l *Listener) Group() string { return l.opts.Group }

// SyscallConn gives access to the listening socket. It returns an error that
// wraps errors.ErrUnsupported for a listener that is no socket.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := l.inner.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errNoSocket
}

var _ syscall.Conn = (*Listener)(nil)
