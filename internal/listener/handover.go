package listener

import (
	"fmt"
	"slices"
	"syscall"
)

// way is how a connection moves. Each has a key of its own, so that no generation takes one for another.
type way int

const (
	openWay     way = iota // its bytes are those of the protocol; a state of the program's may go along
	silentWay              // TLS is spoken on it, and neither side has said anything
	sealedWay              // with the state of a layer over it, such as TLS: see Cargo
	http2Way               // with the state of HTTP/2: see TakeHTTP2
	hijackedWay            // with the state of a program that has taken it over from an adapter: see TakeHijacked
)

var ways = [...]way{openWay, silentWay, sealedWay, http2Way, hijackedWay}

// key is what a successor knows a way by; "" if connections do not move by it.
func (o *Options) key(w way) string {
	switch w {
	case silentWay:
		return o.SilentKey
	case sealedWay:
		return o.SealedKey
	case http2Way:
		return HTTP2Key(o.HandoverKey)
	case hijackedWay:
		return HijackedKey(o.HandoverKey)
	}
	return o.HandoverKey
}

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
	if !slices.ContainsFunc(ways[:], func(w way) bool { return l.opts.isTaken(w, s) }) {
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
func (l *Listener) Moves() bool { return l.moves(openWay) }

// MovesSealed is Moves for connections with a [Cargo].
func (l *Listener) MovesSealed() bool { return l.moves(sealedWay) }

func (l *Listener) moves(w way) bool {
	rule, _ := l.idleRule()
	return rule.policy == moveIdle && l.opts.isTaken(w, rule.successor)
}

func (o *Options) isTaken(w way, by Successor) bool { return o.key(w) != "" && by.Takes(o.key(w)) }

// idleRule returns the rule, and the round that it holds for.
func (l *Listener) idleRule() (idleRule, *round) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idle, l.round
}

// handOver gives the socket of c, whose part t is, to the successor. One of HTTP/2 that has not been read from goes on as it came.
func (t *tracked) handOver(c socket, s syscall.Conn, w way, state []byte) error {
	if w == openWay && t.h2.state != nil {
		w, state = http2Way, t.h2.state
	}
	rule, now := t.ln.idleRule()
	key := t.ln.opts.key(w)
	if rule.policy != moveIdle || key == "" {
		return ErrNoSuccessor
	}
	t.moving.Store(true) // until it certainly has not
	if err := rule.successor.Move(key, state, s); err != nil {
		t.moving.Store(false)
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
