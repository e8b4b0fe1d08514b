package listener

import (
	"errors"
	"fmt"
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

	// HandoverKey is what a successor knows the listener by that takes its connections
	// over. If empty, they cannot move.
	HandoverKey string

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

	// OnHidden, if non-nil, is called once, when an adapter has got a connection of this
	// listener in a layer of type kind that does not show what it is over: such connections
	// cannot move. See [FromConn].
	OnHidden func(kind string)
}

// Listener accepts connections and keeps a set of those that are open. Its
// methods are safe for concurrent use.
type Listener struct {
	addr net.Addr
	opts Options

	accepting sync.Once     // guards the call of OnAccept
	hidden    sync.Once     // guards the call of OnHidden
	arrived   chan struct{} // has a value when adopted may have a connection
	parked    atomic.Int32  // calls of park

	mu        sync.Mutex    // guards what follows, and the closing of the channels above and in round
	inner     net.Listener  // another one after Resume
	closed    chan struct{} // closed by Close; another one after Reopen
	round     *round
	conns     map[socket]bool // what is open; true once it has been counted as cut
	inAccept  int             // calls of inner.Accept whose connection is not in conns yet
	adopted   []socket        // wait for Accept
	whenIdle  idlePolicy
	successor Successor
	idleTime  time.Duration // how long a parked connection waits; 0: for ever
	total     uint64
	in, out   uint64 // connections adopted, and handed over
	cut       int
	stopped   bool          // round.draining is closed
	gone      bool          // round.drained is closed
	shut      bool          // closed is closed
	hasHurry  bool          // round.hurried is closed
	held      chan struct{} // see Hold; nil if it is not

	alone      bool      // no other process accepts from the socket: see EmptyQueue
	emptying   bool      // stopped, but the socket is still open for what waits in its queue
	emptyUntil time.Time // at the latest
	pressed    bool      // the next Accept has until then, as somebody was in the queue when its time was over
	emptyAt    time.Time // if nobody comes
}

// New returns a Listener over inner, which it takes over: it closes inner when
// it drains or is closed. A *net.UnixListener no longer removes its socket file
// on Close, since a successor may listen on it.
func New(inner net.Listener, opts Options) *Listener {
	keepFile(inner)
	l := &Listener{
		addr:    ownAddr(inner.Addr()),
		inner:   inner,
		round:   newRound(),
		opts:    opts,
		closed:  make(chan struct{}),
		arrived: make(chan struct{}, 1),
		conns:   make(map[socket]bool),
	}
	if isPointer(l.addr) {
		known.add(l)
	}
	return l
}

func keepFile(inner net.Listener) {
	if u, ok := inner.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
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
	for {
		now, closed := l.currentAccept()
		c, err := l.accept(now, closed)
		if err != nil && err != errAgain { //nolint:errorlint // it is this very error
			c, err = l.refuse(now, closed, err)
		}
		if err != errAgain { //nolint:errorlint // see above
			return c, err
		}
	}
}

// errAgain has Accept try once more, and nobody else sees it.
var errAgain = errors.New("try again")

// currentAccept returns the listener's round, and what is closed when the program closes it.
func (l *Listener) currentAccept() (now *round, closed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.round, l.closed
}

// accept is one try, in a round of the listener's.
func (l *Listener) accept(now *round, closed <-chan struct{}) (net.Conn, error) {
	if !l.waitGate(now, closed) {
		return nil, l.closedError()
	}
	l.waitHeld()
	inner, adopted := l.enterAccept()
	if adopted != nil {
		return adopted, nil
	}
	if inner == nil {
		return nil, l.closedError()
	}
	c, err := inner.Accept()
	if err == nil {
		return l.track(c, now), nil // also while draining: the kernel has already accepted it
	}
	again := l.foundEmpty(err) || errors.Is(err, os.ErrDeadlineExceeded) // only adopting and emptying set a deadline
	l.leaveAccept()
	if again {
		return nil, errAgain
	}
	return nil, err
}

// waitGate reports whether the gate opened before the listener ended.
func (l *Listener) waitGate(now *round, closed <-chan struct{}) bool {
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
	case <-now.draining:
	case <-closed:
	}
	return false
}

// enterAccept returns an adopted connection if one waits. Else it counts a call
// of inner.Accept, so that the listener is not taken for drained while a
// connection is between the kernel and the set. Both results are nil when there is nothing
// more to accept.
func (l *Listener) enterAccept() (inner net.Listener, adopted net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if adopted := l.nextAdoptedLocked(); adopted != nil {
		return nil, adopted
	}
	if l.stopped && !l.emptying || l.shut {
		return nil, nil
	}
	if l.emptying {
		l.postponeLocked()
	}
	l.inAccept++
	return l.inner, nil
}

func (l *Listener) leaveAccept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inAccept--
	l.checkDrainedLocked()
}

// refuse returns err, but late while the listener drains: the program that gets
// it may end the process. Meanwhile it returns connections that were adopted and
// cannot move on, and errAgain when the listener resumes.
func (l *Listener) refuse(now *round, closed <-chan struct{}, err error) (net.Conn, error) {
	if !now.isDraining() {
		return nil, err
	}
	release := l.opts.Release
	if release == nil {
		release = now.drained
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
		case <-now.resumed:
			return nil, errAgain
		case <-release:
			return nil, err
		case <-closed: // http.Server.Shutdown closes and waits for this Accept
			return nil, err
		}
	}
}

// closedError is the error of a closed net.Listener, to the letter.
func (l *Listener) closedError() error {
	addr := l.addr
	return &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: net.ErrClosed}
}

func (l *Listener) track(c net.Conn, now *round) net.Conn {
	s := l.wrap(c, now, nil)
	l.mu.Lock()
	l.inAccept--
	l.total++
	l.conns[s] = false
	l.mu.Unlock()
	return s
}

func (l *Listener) wrap(c net.Conn, now *round, state []byte) socket {
	switch c := c.(type) {
	case *net.TCPConn:
		return &TCPConn{TCPConn: c, tracked: tracked{ln: l, round: now, state: state}}
	case *net.UnixConn:
		return &UnixConn{UnixConn: c, tracked: tracked{ln: l, round: now, state: state}}
	default:
		return &foreignConn{Conn: c, tracked: tracked{ln: l, round: now, state: state}}
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
		return nil, &net.OpError{Op: "close", Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
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

// Hidden is called by an adapter that cannot find the listener's connection below c.
func (l *Listener) Hidden(c net.Conn) {
	if l.opts.OnHidden != nil {
		l.hidden.Do(func() { l.opts.OnHidden(fmt.Sprintf("%T", c)) })
	}
}

// Addr returns the address of the wrapped listener, also after Close. It is the same pointer each
// time, and no other listener's, where the wrapped listener's address is a pointer.
func (l *Listener) Addr() net.Addr { return l.addr }

// Group returns the name given in Options.
func (l *Listener) Group() string { return l.opts.Group }

// SyscallConn gives access to the listening socket. It returns an error that
// wraps errors.ErrUnsupported for a listener that is no socket.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	l.mu.Lock()
	inner := l.inner
	l.mu.Unlock()
	if sc, ok := inner.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, fmt.Errorf("listen: the listener is no socket: %w", errors.ErrUnsupported)
}

var _ syscall.Conn = (*Listener)(nil)
