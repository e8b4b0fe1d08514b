package engine

import (
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// drainage is how far a drain is. The zero value has not begun.
type drainage struct {
	mu     sync.Mutex // guards what follows
	began  time.Time
	until  time.Time        // at the latest
	before []listener.Stats // of the groups, in their order, when it began
	end    *protocol.Event  // what came of it; nil until it is over
}

// begin notes that a drain begins, or that one that has begun has less time.
func (d *drainage) begin(lasts time.Duration, stats func() []listener.Stats) {
	d.mu.Lock()
	defer d.mu.Unlock()
	until := time.Now().Add(lasts)
	if d.began.IsZero() {
		d.began, d.until, d.before = time.Now(), until, stats()
	}
	if until.Before(d.until) {
		d.until = until
	}
}

// times are when the drain began, and when it ends at the latest; both are zero before.
func (d *drainage) times() (began, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.began, d.until
}

// progress is how far the drain is, by what the groups' statistics are now, or how it went when it is over.
func (d *drainage) progress(now []listener.Stats) protocol.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end != nil {
		return *d.end
	}
	e := protocol.Event{Type: protocol.DrainBegan, Seconds: time.Since(d.began).Seconds(), Until: d.until}
	for i, before := range d.before {
		now, r := now[i], now[i].Since(before)
		e.Open, e.Moved, e.Ended, e.Cut = e.Open+now.Open, e.Moved+r.Moved, e.Ended+r.Ended, e.Cut+r.Cut
	}
	return e
}

// over notes how the drain went, which progress has said at its end.
func (d *drainage) over(end protocol.Event) {
	end.Type, end.Open, end.Until = protocol.Drained, 0, time.Time{}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end == nil {
		d.end = &end
	}
}
