package listener

import "sync"

// latch is a channel that is closed once. Setting it is guarded by a lock of its owner's; anybody may wait for it.
type latch chan struct{}

// set reports whether it was the first to do so.
func (l latch) set() bool {
	if l.isSet() {
		return false
	}
	close(l)
	return true
}

func (l latch) isSet() bool {
	select {
	case <-l:
		return true
	default:
		return false
	}
}

// round is a listener's life until it has drained: another one follows only where it resumes. The listener's lock guards the
// setting of its latches.
type round struct {
	draining  latch // the listener stops accepting
	drained   latch // it drains, and the last connection is gone
	late      latch // half of the time for that is over
	expedited latch // by Expedite
	resumed   latch // by Resume
}

func newRound() *round {
	return &round{draining: make(latch), drained: make(latch), late: make(latch), expedited: make(latch), resumed: make(latch)}
}

// life is which round a Listener is in, and whether the program has closed it.
type life struct {
	mu     sync.Mutex // guards what follows, and all of the Listener that says so
	closed latch      // by Close; another one after Reopen
	round  *round     // another one after Resume
}

// Draining returns a channel that is closed when the listener stops accepting
// because its generation ends. The program's own Close does not close it.
func (l *life) Draining() <-chan struct{} { return l.current().draining }

// Expedited returns a channel that is closed by Expedite.
func (l *life) Expedited() <-chan struct{} { return l.current().expedited }

// Rounds returns a channel that is closed when the listener stops accepting because its generation ends, as
// Draining does, and one that is closed if it resumes after that. For an adapter that has to put things right then: it calls
// Rounds again for what follows.
func (l *life) Rounds() (draining, resumed <-chan struct{}) {
	r := l.current()
	return r.draining, r.resumed
}

// Rounds is [Listener.Rounds] of the listener that conn is of: unlike [Conn].Draining it goes on where that
// has resumed. For a Conn that has neither a listener nor Rounds, resumed is nil.
func Rounds(conn Conn) (draining, resumed <-chan struct{}) {
	switch c := conn.(type) {
	case socket:
		return c.part().ln.Rounds()
	case interface {
		Rounds() (draining, resumed <-chan struct{})
	}:
		return c.Rounds()
	}
	return conn.Draining(), nil
}

// IsDraining reports whether the listener of c drains, and has not resumed.
func IsDraining(c Conn) bool {
	draining, _ := Rounds(c) // Conn.Draining stays closed after a resume
	select {
	case <-draining:
		return true
	default:
		return false
	}
}

func (l *life) current() *round {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.round
}

// Closed returns a channel that is closed when the program closes the listener.
func (l *life) Closed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Reopen undoes the program's own Close of a listener that drains, and reports whether it has: the program can take it again before it
// resumes, and serve it with another server. Connections that are open stay.
func (l *life) Reopen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed.isSet() || !l.round.draining.isSet() {
		return false
	}
	l.closed = make(latch)
	return true
}
