package listener

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Arrivals are the connections that a [Listener] takes over from older generations: who admits them, and how long they wait for their first byte.
type Arrivals struct {
	ln     *Listener
	parked atomic.Int32 // calls of wait

	mu     sync.Mutex               // guards what follows
	checks [len(ways)]*check        // nil by which nobody takes any
	limits [len(ways)]time.Duration // how long one waits that moves so; 0: for ever
}

// check is that of one call of Admit.
type check struct{ admit Admission }

// Admission says what becomes of a connection that an older generation would hand over with that state. After an error it stays where it is. It is called
// from any goroutine, and keeps nothing of state.
type Admission func(state []byte) (Arrival, error)

// Arrival is how a connection comes. The zero value is parked until there is something to read, and closed at the end of the idle timeout.
type Arrival struct {
	Speaks bool // its client waits for an answer: Accept returns it at once
	HTTP2  bool // at the end of the idle timeout Accept returns it, for its client to be sent away
}

// nobody is the error of a way by which an adapter would have to admit, and none does.
var nobody = [len(ways)]error{
	SealedWay:   errors.New("nobody serves such connections"),
	HTTP2Way:    errors.New("it takes no connections of HTTP/2"),
	HijackedWay: errors.New("nobody resumes hijacked connections"),
}

// Arrivals returns those of the listener.
func (l *Listener) Arrivals() *Arrivals { return &l.arrivals }

// SetIdleTimeout bounds how long an adopted connection may stay parked: then it is
// closed, as its adapter would close an idle one. It counts from the adoption. If
// d is zero or negative, there is no bound. Connections that are parked already are
// not affected.
func (l *Listener) SetIdleTimeout(d time.Duration) {
	l.arrivals.SetTimeout(OpenWay, d)
	l.arrivals.SetTimeout(SealedWay, d)
}

// SetTimeout is [Listener.SetIdleTimeout] for connections that move by w.
func (a *Arrivals) SetTimeout(w Way, d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits[w] = max(d, 0)
}

// Admit has connections adopted that come by w, as admit says, until stop is called or somebody else calls Admit. Who calls it gets them from Accept, and
// asks [Take] or [Unseal] of each.
func (a *Arrivals) Admit(w Way, admit Admission) (stop func()) {
	own := &check{admit}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checks[w] = own
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.checks[w] == own {
			a.checks[w] = nil
		}
	}
}

// Has reports whether connections can move by w.
func (a *Arrivals) Has(w Way) bool { return a.ln.opts.key(w) != "" }

// Keys returns those of all ways by which connections can move.
func (a *Arrivals) Keys() (keys []string) {
	for _, w := range ways {
		if a.Has(w) {
			keys = append(keys, a.ln.opts.key(w))
		}
	}
	return keys
}

// Reserve takes over a connection from an older generation that offers it by key, with what that one gives along. It may not be used before that
// generation has been answered: answered is called when that is so, or with an error when it could not be, which may mean that there is no older generation
// any more. With a state of the program's it waits for Accept then. Without any, nothing has been read of its next request, and it is parked until there is
// something to read: until then it costs a goroutine, and no adapter's timeout for requests runs. What an adapter admits waits as that says, and its state
// is the listener's; one with a [Cargo] is closed where the older generation could not be answered: that may have it still.
//
// After an error the connection is the caller's, and untouched: the listener is closed, or drains with nobody to pass it on to, or it is not admitted.
func (a *Arrivals) Reserve(key string, c net.Conn, state []byte) (answered func(error), err error) {
	w, ok := a.ln.opts.way(key)
	if !ok {
		return nil, fmt.Errorf("no group %q", key)
	}
	a.ln.awaitRoom()
	arrival, err := a.admitted(w, state)
	if err != nil {
		return nil, fmt.Errorf("listen: group %s: %w", a.ln.opts.Group, err)
	}
	s, err := a.ln.adopt(c)
	if err != nil {
		return nil, err
	}
	s.part().came.set(w, state, arrival.HTTP2)
	return func(err error) {
		switch {
		case err != nil && w == SealedWay:
			_ = s.Close()
		case arrival.Speaks:
			offer(s)
		default:
			a.park(s)
		}
	}, nil
}

// admitted asks whoever has called Admit, where that has to be.
func (a *Arrivals) admitted(w Way, state []byte) (Arrival, error) {
	switch w {
	case OpenWay:
		return Arrival{Speaks: len(state) > 0}, nil
	case SilentWay:
		if len(state) > 0 {
			return Arrival{}, errors.New("a silent connection has no state")
		}
		return Arrival{}, nil
	}
	a.mu.Lock()
	now := a.checks[w]
	a.mu.Unlock()
	if now == nil {
		return Arrival{}, nobody[w]
	}
	return now.admit(state)
}
