package listener

import (
	"errors"
	"fmt"
	"net"
)

// cannotPack notes why a connection stays that cannot be packed.
func (t *tracked) cannotPack(now *round, err error) error {
	var why *StayError
	switch {
	case errors.Is(err, ErrBusy):
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
	t.stays.Store(now)
	return fmt.Errorf("%w: %w", ErrNoSuccessor, err)
}

// note counts the connection, once in a round.
func (t *tracked) note(now *round, reason string, err error) {
	if t.noted.Swap(now) != now {
		t.ln.count(reason)
	}
	t.ln.sealed.tell(&t.ln.opts, reason, err)
}

func (t *tracked) staysIn(now *round) bool { return t.stays.Load() == now }

func (t *tracked) setCannot(reason string) { t.cannot.Store(&reason) }

// countStay returns why the connection never moves, and whether that is news in this round; "" if it may.
func (t *tracked) countStay(now *round) (reason string, isNew bool) {
	if p := t.cannot.Load(); p != nil {
		return *p, t.noted.Swap(now) != now
	}
	return "", false
}

// Stays notes why the connection below c, see [FromConn], can never move with a [Cargo], for the count of those when its listener drains.
func Stays(c net.Conn, reason string) {
	if conn, ok := FromConn(c); ok {
		if s, ok := conn.(socket); ok {
			s.setCannot(reason)
		}
	}
}

// countStays counts those that never move. Where nobody takes over, none could.
func (l *Listener) countStays() {
	if !l.MovesSealed() {
		return
	}
	now := l.current()
	for _, s := range l.open() {
		if reason, isNew := s.countStay(now); isNew {
			l.count(reason)
		}
	}
}

func (l *Listener) count(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns.stayed == nil {
		l.conns.stayed = make(map[string]uint64)
	}
	l.conns.stayed[reason]++
}
