package listener

import "time"

// Spread returns the time over which an adapter spreads what makes clients of the
// draining listener reconnect: zero, which is at once, unless Options say otherwise,
// and always zero where nobody takes over.
func (l *Listener) Spread() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle.policy == closeIdle {
		return 0
	}
	return max(l.opts.Spread, 0)
}

// Expedite says that there is no time to spread anything any more: the generation is
// to end soon. Idle connections that were to move and cannot any more, since the
// successor has ended too, end. Later calls do nothing.
func (l *Listener) Expedite() {
	l.mu.Lock()
	first := l.round.expedited.set()
	l.mu.Unlock()
	if first {
		wakeAll(l.open())
	}
}
