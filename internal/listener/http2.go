package listener

import (
	"errors"
	"fmt"
	"net"
)

// HTTP2Key is the key by which connections of HTTP/2 move with a state, where those without have key. A generation that does not
// know such states does not know the key either, and is never offered one. It is empty where key is.
func HTTP2Key(key string) string {
	if key == "" {
		return ""
	}
	return "h2 " + key
}

// errNoHTTP2 is for connections of HTTP/2 where nobody has called AdmitHTTP2.
var errNoHTTP2 = errors.New("it takes no connections of HTTP/2")

// checks are those of the ways by which connections bring a state that an adapter admits. The Listener's lock guards them.
type checks [len(ways)]*check

// admitBy has connections adopted that come by w, as admit says, until stop is called or somebody else calls it.
func (l *Listener) admitBy(w way, admit Admission) (stop func()) {
	own := &check{admit}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checks[w] = own
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.checks[w] == own {
			l.checks[w] = nil
		}
	}
}

// admitted asks whoever has called admitBy. Where nobody has, the error is nobody.
func (l *Listener) admitted(w way, state []byte, nobody error) (Arrival, error) {
	l.mu.Lock()
	now := l.checks[w]
	l.mu.Unlock()
	err := nobody
	var arrival Arrival
	if now != nil {
		arrival, err = now.admit(state)
	}
	if err != nil {
		return Arrival{}, fmt.Errorf("listen: group %s: %w", l.opts.Group, err)
	}
	return arrival, nil
}

// Admission says what becomes of a connection that an older generation would hand over with that state. After an error it stays where it is. It is called
// from any goroutine, and keeps nothing of state.
type Admission func(state []byte) (Arrival, error)

// Arrival is how a connection comes. The zero value is parked until there is something to read, and closed at the end of the idle timeout.
type Arrival struct {
	Speaks bool // its client waits for an answer: Accept returns it at once
	HTTP2  bool // at the end of the idle timeout Accept returns it, for its client to be sent away
}

// AdmitHTTP2 has connections of HTTP/2 adopted, as admit says, until stop is called or somebody else calls AdmitHTTP2.
func (l *Listener) AdmitHTTP2(admit Admission) (stop func()) { return l.admitBy(http2Way, admit) }

// ReserveHTTP2 is [Listener.Reserve] for a connection of HTTP/2, which goes on from state: an adapter gets that by [TakeHTTP2].
func (l *Listener) ReserveHTTP2(c net.Conn, state []byte) (answered func(error), err error) {
	arrival, err := l.admitted(http2Way, state, errNoHTTP2)
	if err != nil {
		return nil, err
	}
	s, err := l.reserve(c)
	if err != nil {
		return nil, err
	}
	s.setHTTP2(state)
	return func(error) { l.arrive(s, arrival, openWay) }, nil
}

// arrive parks s, which moves on by w, or has Accept return it.
func (l *Listener) arrive(s socket, a Arrival, w way) {
	s.http2().told = a.HTTP2
	if a.Speaks {
		s.offer(s)
		return
	}
	l.park(s, w)
}

// http2State is what a connection of HTTP/2 goes on from.
type http2State struct {
	state []byte // nil: nothing, or it is in the box
	told  bool   // its client is to be told before it ends
	over  bool   // its idle timeout
}

// TakeHTTP2 returns what c, as Accept has returned it, goes on from, once; nil unless it is an adopted connection of HTTP/2 without a [Cargo].
func TakeHTTP2(c net.Conn) (state []byte) {
	s, ok := c.(socket)
	if !ok {
		return nil
	}
	h := s.http2()
	state, h.state = h.state, nil
	return state
}

// IsOver reports whether the idle timeout of the connection below c, see [FromConn], was over when Accept returned it: its client is to be sent away.
func IsOver(c net.Conn) bool {
	conn, ok := FromConn(c)
	if !ok {
		return false
	}
	s, ok := conn.(socket)
	return ok && s.http2().over
}

// MovesHTTP2 is [Listener.Moves] for a connection of HTTP/2, and says no where the listener does not drain.
func (r *IdleReader) MovesHTTP2() bool {
	s, ok := r.conn.(socket)
	if !ok {
		return false
	}
	l := s.listener()
	rule, now := l.idleRule()
	return rule.policy == moveIdle && now.draining.isSet() && l.opts.isTaken(r.http2Way(), rule.successor)
}

// HandOverHTTP2 is [Conn].Handover of a connection of HTTP/2 with its state, to which the [Cargo] adds, if there is one. The caller has kept everybody from
// reading and writing. An error that is [ErrBusy] says that the layer has begun something: there is more to read.
func (r *IdleReader) HandOverHTTP2(state []byte) error {
	s, ok := r.conn.(socket)
	if !ok {
		return ErrNoSuccessor
	}
	return s.moveOn(r.http2Way(), r.with, state)
}

// NoteStay counts a connection with a [Cargo] that does not move in this drain: reason is one of a small number.
func (r *IdleReader) NoteStay(reason string, err error) {
	if s, ok := r.conn.(socket); ok && r.with != nil {
		s.note(s.listener().current(), reason, err)
	}
}

func (r *IdleReader) http2Way() way {
	if r.with != nil {
		return sealedWay
	}
	return http2Way
}
