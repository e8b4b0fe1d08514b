package listener

import (
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
)

// Successor takes connections that a draining generation gives away. key is one of the keys of
// their listener.
type Successor interface {
	// Takes reports whether connections can be moved at all, at this moment.
	Takes(key string) bool

	// Move gives away the socket of a connection. After nil it is the
	// successor's, and the caller closes its own descriptor; after an error
	// it stays the caller's. An error that knows for certain that the successor has not taken it has a method Untaken() bool that
	// returns true. After any other both may have it: the caller closes a connection with keys.
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
// connections stay until they end. It changes nothing where Options have no key, or the successor takes none of
// them.
func (l *Listener) MoveIdle(s Successor) {
	if !slices.ContainsFunc(ways[:], func(w Way) bool { return l.opts.isTaken(w, s) }) {
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
func (l *Listener) Moves() bool { return l.MovesBy(OpenWay) }

// MovesBy is Moves for connections that move by w.
func (l *Listener) MovesBy(w Way) bool {
	rule, _ := l.idleRule()
	return rule.policy == moveIdle && l.opts.isTaken(w, rule.successor)
}

// idleRule returns the rule, and the round that it holds for.
func (l *Listener) idleRule() (idleRule, *round) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idle, l.round
}

// departure is what has become of moving a connection to the successor.
type departure struct {
	moved  atomic.Bool            // the successor has it
	moving atomic.Bool            // it may have it already: nobody shuts the socket down
	stays  atomic.Pointer[round]  // in which the successor has refused it
	noted  atomic.Pointer[round]  // in which it was counted as one that stays; see Cargo
	cannot atomic.Pointer[string] // why it never moves; see Stays
}

// handOver gives the socket of c, whose part t is, to the successor. One that has come with a state which nobody has taken goes on as it came.
func (t *tracked) handOver(c socket, s syscall.Conn, w Way, state []byte) error {
	if came := &t.came; w == OpenWay && came.way != OpenWay && came.state != nil {
		w, state = came.way, came.state
	}
	rule, now := t.ln.idleRule()
	key := t.ln.opts.key(w)
	if rule.policy != moveIdle || key == "" {
		return ErrNoSuccessor
	}
	t.leaving.moving.Store(true) // until it certainly has not
	if err := rule.successor.Move(key, state, s); err != nil {
		t.leaving.moving.Store(false)
		t.leaving.stays.Store(now)
		return fmt.Errorf("%w: %w", ErrNoSuccessor, err)
	}
	t.leaving.moved.Store(true)
	_ = c.Close() // only our descriptor: the successor has its own
	return nil
}

// isRefused reports whether the successor has refused the connection, which moves by w, and is not offered it again in time: see [IdleReader.IsRefused].
func (t *tracked) isRefused(w Way) bool {
	now := t.ln.current()
	return t.leaving.stays.Load() == now && (w == SealedWay || now.late.isSet() || now.expedited.isSet())
}
