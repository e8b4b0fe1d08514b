package listen

import (
	"net"
	"sync"
	"syscall"
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

	mu       sync.Mutex      // guards what follows, and the closing of the channels above
	conns    map[socket]bool // what is open; true once it has been counted as cut
	inAccept int             // calls of inner.Accept whose connection is not in conns yet
	total    uint64
	cut      int
	stopped  bool // draining is closed
	gone     bool // drained is closed
	shut     bool // closed is closed
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
		conns:    make(map[socket]bool),
	}
}

// Accept waits for the gate and then for the next connection, which implements
// [Conn]. Errors are those of the wrapped listener, never wrapped: net/http
// asserts err.(net.Error). While the listener drains, Accept waits as
// Options.Release says; then, and after Close, the error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	if l.opts.OnAccept != nil {
		l.accepting.Do(l.opts.OnAccept)
	}
	if !l.waitGate() || !l.enterAccept() {
		return nil, l.refuse(l.closedError())
	}
	c, err := l.inner.Accept()
	if err != nil {
		l.leaveAccept()
		return nil, l.refuse(err)
	}
	return l.track(c), nil // also while draining: the kernel has already accepted it
}

// waitGate reports whether the gate opened before the listener ended.
func (l *Listener) waitGate() bool {
	if l.opts.Gate == nil {
		return true
	}
	select {
	case <-l.opts.Gate:
		return true
	case <-l.draining:
	case <-l.closed:
	}
	return false
}

// enterAccept counts a call of inner.Accept, so that the listener is not taken
// for drained while a connection is between the kernel and the set.
func (l *Listener) enterAccept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.shut {
		return false
	}
	l.inAccept++
	return true
}

func (l *Listener) leaveAccept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inAccept--
	l.checkDrainedLocked()
}

// refuse returns err, but late while the listener drains: the program that gets
// it may end the process.
func (l *Listener) refuse(err error) error {
	select {
	case <-l.draining:
	default:
		return err
	}
	release := l.opts.Release
	if release == nil {
		release = l.drained
	}
	select {
	case <-release:
	case <-l.closed: // http.Server.Shutdown closes and waits for this Accept
	}
	return err
}

// closedError is the error of a closed net.Listener, to the letter.
func (l *Listener) closedError() error {
	addr := l.inner.Addr()
	return &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: net.ErrClosed}
}

func (l *Listener) track(c net.Conn) net.Conn {
	s := l.wrap(c)
	l.mu.Lock()
	l.inAccept--
	l.total++
	l.conns[s] = false
	l.mu.Unlock()
	return s
}

func (l *Listener) wrap(c net.Conn) socket {
	switch c := c.(type) {
	case *net.TCPConn:
		return &tcpConn{TCPConn: c, tracked: tracked{ln: l}}
	case *net.UnixConn:
		return &unixConn{UnixConn: c, tracked: tracked{ln: l}}
	default:
		return &foreignConn{Conn: c, tracked: tracked{ln: l}}
	}
}

func (l *Listener) untrack(c socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.checkDrainedLocked()
}

// Close is the program's own end of the listener: it stops accepting and
// releases Accept at once, also while draining. Open connections go on. Later
// calls return net.ErrClosed.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return &net.OpError{Op: "close", Net: l.inner.Addr().Network(), Addr: l.inner.Addr(), Err: net.ErrClosed}
	}
	l.shut = true
	close(l.closed)
	if l.stopped {
		return nil // the drain has closed inner
	}
	return l.inner.Close()
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
