package listener

import (
	"errors"
	"net"
)

// ErrNotDraining is returned by [Listener.Resume] for a listener that does not drain, that the program has
// closed, or that lets out what waits in its queue.
var ErrNotDraining = errors.New("listen: the listener does not drain")

// round is a listener's life until it has drained: another one follows only where it resumes.
type round struct {
	draining chan struct{} // closed when the listener stops accepting
	drained  chan struct{} // closed when it drains and the last connection is gone
	hurried  chan struct{} // closed by Hurry
	resumed  chan struct{} // closed by Resume
}

func newRound() *round {
	return &round{
		draining: make(chan struct{}),
		drained:  make(chan struct{}),
		hurried:  make(chan struct{}),
		resumed:  make(chan struct{}),
	}
}

func (r *round) isDraining() bool {
	select {
	case <-r.draining:
		return true
	default:
		return false
	}
}

// Resume has a listener that drains accept again, on inner, which it takes over as New does: the successor that had its socket has
// died. An Accept that waits goes on. Connections that were open stay, and those who were told that they
// drain are not told otherwise: [Conn].Draining remains closed for them. They can move to the next successor. New
// connections, and [Listener.Draining], have a new channel. Whoever waits in Drain returns.
//
// On an error inner is closed, and nothing has changed.
func (l *Listener) Resume(inner net.Listener) error {
	keepFile(inner)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped || l.shut || l.emptying {
		_ = inner.Close()
		return ErrNotDraining
	}
	l.inner = inner
	l.stopped, l.gone, l.hasHurry, l.alone = false, false, false, false
	l.whenIdle, l.successor = keepIdle, nil
	before := l.round
	l.round = newRound()
	if d, ok := inner.(deadliner); ok && (l.held != nil || len(l.adopted) > 0) {
		_ = d.SetDeadline(longAgo)
	}
	close(before.resumed)
	return nil
}

// Closed returns a channel that is closed when the program closes the listener.
func (l *Listener) Closed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Reopen undoes the program's own Close of a listener that drains, and reports whether it has: the program can take it again before it
// resumes, and serve it with another server. Connections that are open stay.
func (l *Listener) Reopen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.shut || !l.stopped || l.emptying {
		return false
	}
	l.shut, l.closed = false, make(chan struct{})
	return true
}

// Rounds returns a channel that is closed when the listener stops accepting because its generation ends, as
// Draining does, and one that is closed if it resumes after that. For an adapter that has to put things right then: it calls
// Rounds again for what follows.
func (l *Listener) Rounds() (draining, resumed <-chan struct{}) {
	r := l.current()
	return r.draining, r.resumed
}

// Rounds is [Listener.Rounds] of the listener that conn is of: unlike [Conn].Draining it goes on where that
// has resumed. For any other Conn resumed is nil.
func Rounds(conn Conn) (draining, resumed <-chan struct{}) {
	if s, ok := conn.(interface{ listener() *Listener }); ok {
		return s.listener().Rounds()
	}
	return conn.Draining(), nil
}

func (l *Listener) current() *round {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.round
}
