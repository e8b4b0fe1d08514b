package listener

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"sync"
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

	// SilentKey is HandoverKey for those connections of a [TLSListener] on which the client has not begun its
	// handshake. If empty, they cannot move.
	SilentKey string

	// SealedKey is HandoverKey for connections that move with a [Cargo]. If empty, they cannot move.
	SealedKey string

	// OnStay, if non-nil, is called when a connection that could have moved with a [Cargo] stays, once for each reason; err says more.
	OnStay func(reason string, err error)

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

	// Totals, if non-nil, count on where the generation before this one has stopped.
	Totals *Totals

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

	accepting sync.Once // guards the call of OnAccept
	hidden    sync.Once // guards the call of OnHidden

	arrivals Arrivals // from older generations
	stays    stays    // those that have not moved on

	life           // its lock guards what follows: each part is in a file of its own
	door  door     // the socket that connections come in by
	conns register // those that are open, and counts
	inbox inbox    // adopted connections that wait for Accept
	idle  idleRule // what becomes of idle ones
}

// New returns a Listener over inner, which it takes over: it closes inner when
// it drains or is closed. A *net.UnixListener no longer removes its socket file
// on Close, since a successor may listen on it.
func New(inner net.Listener, opts Options) *Listener {
	keepFile(inner)
	l := &Listener{
		addr:  ownAddr(inner.Addr()),
		opts:  opts,
		life:  life{closed: make(latch), round: newRound()},
		door:  door{inner: inner},
		conns: register{open: make(map[socket]bool), totals: cmp.Or(opts.Totals, new(Totals))},
		inbox: inbox{arrived: make(chan struct{}, 1)},
	}
	l.arrivals.ln = l
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

// Close is the program's own end of the listener: it stops accepting and
// releases Accept at once, also while draining. Open connections go on; those that
// were adopted and wait for Accept end, like those in the queue of a socket that is
// closed. Later calls return net.ErrClosed.
func (l *Listener) Close() error {
	l.mu.Lock()
	if !l.closed.set() {
		l.mu.Unlock()
		return closedError("close", l.addr)
	}
	waiting := l.inbox.clear()
	var err error
	if l.door.state != doorShut { // the drain has not closed it
		err = l.door.close()
		l.checkDrainedLocked()
	}
	l.mu.Unlock()
	for _, c := range waiting {
		_ = c.Close()
	}
	return err
}

// closedError is the error of a closed net.Listener, to the letter.
func closedError(op string, addr net.Addr) error {
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: net.ErrClosed}
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
	inner := l.door.inner
	l.mu.Unlock()
	if sc, ok := inner.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, fmt.Errorf("listen: the listener is no socket: %w", errors.ErrUnsupported)
}

var _ syscall.Conn = (*Listener)(nil)
