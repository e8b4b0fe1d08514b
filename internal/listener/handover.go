package listener

import (
	"fmt"
	"syscall"
)

// Successor takes connections that a draining generation gives away. key is the HandoverKey of
// their listener.
type Successor interface {
	// Takes reports whether connections can be moved at all, at this moment.
	Takes(key string) bool

	// Move gives away the socket of a connection. After nil it is the
	// successor's, and the caller closes its own descriptor; after an error
	// it is as before.
	Move(key string, state []byte, socket syscall.Conn) error
}

// idlePolicy is what becomes of idle connections when the listener drains.
type idlePolicy int

const (
	keepIdle  idlePolicy = iota // they stay until they end, or until the deadline
	moveIdle                    // they move to the successor
	closeIdle                   // they end at once
)

// idleRule is what becomes of a listener's idle connections, and who takes them. The listener's lock guards it; readers
// have a copy.
type idleRule struct {
	policy    idlePolicy
	successor Successor // nil unless they move
}

// MoveIdle has idle connections move to s when the listener drains, and makes
// [Conn].Handover work. It is called before the drain; without it idle
// connections stay until they end. It changes nothing where Options have no HandoverKey, or the successor does not take
// that.
func (l *Listener) MoveIdle(s Successor) {
	if l.opts.HandoverKey == "" || !s.Takes(l.opts.HandoverKey) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = idleRule{moveIdle, s}
}

// CloseIdle has idle connections end when the listener drains, since nobody will
// take over. Only the receiving side is shut down, and so a request that has
// already arrived is still answered.
func (l *Listener) CloseIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = idleRule{policy: closeIdle}
}

// Moves reports whether an idle connection of the draining listener moves to the
// successor. Adapters ask it before they tell a client to close its connection.
func (l *Listener) Moves() bool {
	rule, _ := l.idleRule()
	return rule.policy == moveIdle && rule.successor.Takes(l.opts.HandoverKey)
}

// idleRule returns the rule, and the round that it holds for.
func (l *Listener) idleRule() (idleRule, *round) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idle, l.round
}

// handOver gives the socket of c, whose part t is, to the successor. One of HTTP/2 that has not been read from goes on as it came.
func (t *tracked) handOver(c socket, s syscall.Conn, state []byte) error {
	if t.h2.state != nil {
		return t.handOverBy(HTTP2Key(t.ln.opts.HandoverKey), c, s, t.h2.state)
	}
	return t.handOverBy(t.ln.opts.HandoverKey, c, s, state)
}

func (t *tracked) handOverBy(key string, c socket, s syscall.Conn, state []byte) error {
	rule, now := t.ln.idleRule()
	if rule.policy != moveIdle {
		return ErrNoSuccessor
	}
	if err := rule.successor.Move(key, state, s); err != nil {
		t.stays.Store(now)
		return fmt.Errorf("%w: %w", ErrNoSuccessor, err)
	}
	t.setMoved()
	_ = c.Close() // only our descriptor: the successor has its own
	return nil
}

// isRefused reports whether the successor has refused the connection, and does not have much time left to change that.
func (t *tracked) isRefused() bool {
	now := t.ln.current()
	return t.stays.Load() == now && (now.late.isSet() || now.expedited.isSet())
}
