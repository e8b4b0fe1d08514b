package listener

import "time"

// Spread returns the time over which an adapter spreads what makes clients of the
// draining listener reconnect: zero, which is at once, unless Options say otherwise,
// and always zero where nobody takes over.
func (l *Listener) Spread() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.whenIdle == closeIdle {
		return 0
	}
	return max(l.opts.Spread, 0)
}

// Hurry says that there is no time to spread anything any more: the generation is
// to end soon. Idle connections that were to move and cannot any more, since the
// successor has ended too, end. Later calls do nothing.
func (l *Listener) Hurry() {
	if l.beginHurry() {
		l.wakeIdle()
	}
}

// beginHurry reports whether it was the first to do so.
func (l *Listener) beginHurry() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hasHurry {
		return false
	}
	l.hasHurry = true
	close(l.round.hurried)
	return true
}

// isForsaken reports whether the generation is to end soon and its successor takes nothing any more.
func (l *Listener) isForsaken() bool {
	select {
	case <-l.Hurried():
		return !l.Moves()
	default:
		return false
	}
}

// Hurried returns a channel that is closed by Hurry.
func (l *Listener) Hurried() <-chan struct{} { return l.current().hurried }
