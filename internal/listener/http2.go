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

// Admission says what becomes of a connection of HTTP/2 with that state. After an error it stays where it is. speaks reports that its client
// waits for an answer; otherwise the connection is parked. It is called from any goroutine.
type Admission func(state []byte) (speaks bool, err error)

// AdmitHTTP2 has connections of HTTP/2 adopted, as admit says.
func (l *Listener) AdmitHTTP2(admit Admission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.admit = admit
}

func (l *Listener) admission() Admission {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.admit
}

// ReserveHTTP2 is [Listener.Reserve] for a connection of HTTP/2, which goes on from state: an adapter gets that by [TakeHTTP2]. One that is parked is as
// others are, but at the end of the idle timeout Accept returns it, for its client to be sent away.
func (l *Listener) ReserveHTTP2(c net.Conn, state []byte) (answered func(error), err error) {
	admit := l.admission()
	if admit == nil {
		return nil, fmt.Errorf("listen: group %s: %w", l.opts.Group, errNoHTTP2)
	}
	speaks, err := admit(state)
	if err != nil {
		return nil, fmt.Errorf("listen: group %s: %w", l.opts.Group, err)
	}
	s, err := l.reserve(c)
	if err != nil {
		return nil, err
	}
	s.setHTTP2(state)
	if speaks {
		return func(error) { s.offer(s) }, nil
	}
	return func(error) { l.park(s, openWay) }, nil
}

// http2State is what a connection of HTTP/2 goes on from.
type http2State struct {
	state []byte // nil: nothing
	over  bool   // its idle timeout
}

// TakeHTTP2 returns what c, as Accept has returned it, goes on from, once; nil unless it is an adopted connection of HTTP/2. isOver reports that its idle
// timeout is over.
func TakeHTTP2(c net.Conn) (state []byte, isOver bool) {
	s, ok := c.(socket)
	if !ok {
		return nil, false
	}
	h := s.http2()
	state, h.state = h.state, nil
	return state, h.over
}

// MovesHTTP2 is [Listener.Moves] for HTTP/2, and for the listener of c.
func MovesHTTP2(c Conn) bool {
	s, ok := c.(socket)
	if !ok {
		return false
	}
	l := s.listener()
	rule, now := l.idleRule()
	return rule.policy == moveIdle && now.draining.isSet() && l.opts.isTaken(http2Way, rule.successor)
}

// HandOverHTTP2 is [Conn].Handover of a connection of HTTP/2 with its state. The caller has kept everybody from reading and writing.
func HandOverHTTP2(c Conn, state []byte) error {
	s, ok := c.(socket)
	if !ok {
		return ErrNoSuccessor
	}
	return s.handOverHTTP2(state)
}
