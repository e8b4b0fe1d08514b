package listener

import (
	"errors"
	"net"
	"os"
)

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
		try := newAttempt(l)
		c, err := try.accept()
		if err != nil && err != errAgain { //nolint:errorlint // it is this very error
			c, err = try.refuse(err)
		}
		if err != errAgain { //nolint:errorlint // see above
			return c, err
		}
	}
}

// errAgain has Accept try once more, and nobody else sees it.
var errAgain = errors.New("try again")

// attempt is one try to accept, in a round of the Listener's.
type attempt struct {
	ln     *Listener
	round  *round
	closed latch // by the program
}

func newAttempt(l *Listener) attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return attempt{l, l.round, l.closed}
}

func (a attempt) accept() (net.Conn, error) {
	if !a.waitGate() {
		return nil, closedError("accept", a.ln.addr)
	}
	a.waitHeld()
	inner, adopted := a.enter()
	if adopted != nil {
		return adopted, nil
	}
	if inner == nil {
		return nil, closedError("accept", a.ln.addr)
	}
	c, err := inner.Accept()
	if err == nil {
		return a.track(c), nil // also while draining: the kernel has already accepted it
	}
	return nil, a.fail(err)
}

// waitGate reports whether the gate opened before the listener ended.
func (a attempt) waitGate() bool {
	gate := a.ln.opts.Gate
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true // also while draining: the queue may have to be emptied
	default:
	}
	select {
	case <-gate:
		return true
	case <-a.round.draining:
	case <-a.closed:
	}
	return false
}

// waitHeld waits while the listener is held.
func (a attempt) waitHeld() {
	a.ln.mu.Lock()
	held, draining, closed := a.ln.door.held, a.ln.round.draining, a.ln.closed
	a.ln.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-draining:
	case <-closed:
	}
}

// enter returns an adopted connection if one waits. Else it counts a call
// of inner.Accept, so that the listener is not taken for drained while a
// connection is between the kernel and the set. Both results are nil when there is nothing
// more to accept.
func (a attempt) enter() (inner net.Listener, adopted net.Conn) {
	l := a.ln
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inbox.hasAny() {
		adopted = l.inbox.take()
		l.door.setDeadline(l.inbox.hasAny())
		return nil, adopted
	}
	switch l.door.state {
	case doorShut:
		return nil, nil
	case doorEmptying:
		l.door.postpone()
	case doorOpen:
	}
	l.conns.coming++
	return l.door.inner, nil
}

func (a attempt) track(c net.Conn) net.Conn {
	s := wrap(c, a.ln, a.round)
	a.ln.mu.Lock()
	defer a.ln.mu.Unlock()
	a.ln.conns.accept(s)
	return s
}

// fail returns what Accept makes of an error of inner.Accept: the error, or errAgain where that has said
// what the listener knows already.
func (a attempt) fail(err error) error {
	if a.foundEmpty(err) {
		a.ln.endEmptying()
		err = errAgain
	}
	l := a.ln
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns.coming--
	l.checkDrainedLocked()
	if errors.Is(err, os.ErrDeadlineExceeded) || isRefused(err) && l.round.draining.isSet() { // only adopting and emptying set a deadline
		return errAgain
	}
	return err
}

func (a attempt) foundEmpty(err error) bool {
	a.ln.mu.Lock()
	defer a.ln.mu.Unlock()
	return a.ln.door.state == doorEmptying && a.ln.door.isEmpty(err)
}

// refuse returns err, but late while the listener drains: the program that gets
// it may end the process. Meanwhile it returns connections that were adopted and
// cannot move on, and errAgain when the listener resumes.
func (a attempt) refuse(err error) (net.Conn, error) {
	if !a.round.draining.isSet() {
		return nil, err
	}
	release := a.ln.opts.Release
	if release == nil {
		release = a.round.drained
	}
	for {
		select {
		case <-a.ln.inbox.arrived:
			if adopted := a.takeAdopted(); adopted != nil {
				return adopted, nil
			}
		case <-a.round.resumed:
			return nil, errAgain
		case <-release:
			return nil, err
		case <-a.closed: // http.Server.Shutdown closes and waits for this Accept
			return nil, err
		}
	}
}

// takeAdopted returns an adopted connection, or nil.
func (a attempt) takeAdopted() net.Conn {
	a.ln.mu.Lock()
	defer a.ln.mu.Unlock()
	adopted := a.ln.inbox.take()
	if adopted != nil {
		a.ln.door.setDeadline(a.ln.inbox.hasAny())
	}
	return adopted
}
