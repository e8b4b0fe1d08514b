package listen

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
// to end soon. Later calls do nothing.
func (l *Listener) Hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hasHurry {
		l.hasHurry = true
		close(l.hurried)
	}
}

// Hurried returns a channel that is closed by Hurry.
func (l *Listener) Hurried() <-chan struct{} { return l.hurried }
