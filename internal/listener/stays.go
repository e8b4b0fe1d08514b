package listener

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
)

// cannotPack notes why a connection stays that cannot be packed.
func (t *tracked) cannotPack(now *round, err error) error {
	var why *StayError
	switch {
	case errors.Is(err, ErrBusy), errors.Is(err, net.ErrClosed):
	case !errors.As(err, &why):
		_ = t.stay(now, stayUnknown, err)
	case why.Passes:
		t.note(now, why.Reason, err)
	default:
		_ = t.stay(now, why.Reason, err)
	}
	return fmt.Errorf("%w: %w", ErrNoSuccessor, err)
}

// stay notes that the connection stays in this round: its client may be told.
func (t *tracked) stay(now *round, reason string, err error) error {
	t.note(now, reason, err)
	t.leaving.stays.Store(now)
	return fmt.Errorf("%w: %w", ErrNoSuccessor, err)
}

// note counts the connection, once in a round.
func (t *tracked) note(now *round, reason string, err error) {
	if t.leaving.noted.Swap(now) != now {
		t.ln.stays.count(reason)
	}
	t.ln.stays.tell(t.ln.opts.OnStay, reason, err)
}

// Stays notes why the connection below c, see [FromConn], can never move with a [Cargo], for the count of those when its listener drains.
func Stays(c net.Conn, reason string) {
	if s, ok := socketBelow(c); ok {
		s.part().leaving.cannot.Store(&reason)
	}
}

// countStays counts those that never move. Where nobody takes over, none could.
func countStays(l *Listener) {
	if !l.MovesBy(SealedWay) {
		return
	}
	now := l.current()
	for _, s := range l.open() {
		leaving := &s.part().leaving
		if reason := leaving.cannot.Load(); reason != nil && leaving.noted.Swap(now) != now {
			l.stays.count(*reason)
		}
	}
}

// stays are the connections of a Listener that were to move with a [Cargo] and have stayed, by reasons.
type stays struct {
	mu     sync.Mutex // guards what follows
	counts map[string]uint64
	told   map[string]bool // OnStay has been called with
}

func (s *stays) count(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = make(map[string]uint64)
	}
	s.counts[reason]++
}

// tell calls onStay, unless it is nil or has been called with the reason.
func (s *stays) tell(onStay func(reason string, err error), reason string, err error) {
	if onStay == nil {
		return
	}
	s.mu.Lock()
	first := !s.told[reason]
	if s.told == nil {
		s.told = make(map[string]bool)
	}
	s.told[reason] = true
	s.mu.Unlock()
	if first {
		onStay(reason, err)
	}
}

// Stayed counts, by reasons, the connections that were to move with a [Cargo] and have stayed, when an upgrade began to drain the
// listener or when it was their turn. It has those reasons that there were.
func (l *Listener) Stayed() map[string]uint64 {
	l.stays.mu.Lock()
	defer l.stays.mu.Unlock()
	return maps.Clone(l.stays.counts)
}
