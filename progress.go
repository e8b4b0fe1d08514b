package gozd

import (
	"errors"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// drainage is how far this generation's drain is. The zero value has not begun.
type drainage struct {
	began  time.Time
	until  time.Time       // at the latest
	before []listen.Stats  // of the groups, in their order, when it began
	end    *protocol.Event // what came of it; nil until it is over
}

// beginDrain notes that a drain begins, or that one that has begun has less time.
func (d *Daemon) beginDrain(why reason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	until := time.Now().Add(longest(d.conf, why))
	if d.drainage.began.IsZero() {
		d.drainage.began, d.drainage.until = time.Now(), until
		for _, g := range d.order {
			d.drainage.before = append(d.drainage.before, g.ln.Stats())
		}
	}
	if until.Before(d.drainage.until) {
		d.drainage.until = until
	}
}

// endDrain notes how the drain went, which progress has said at its end, and tells those who follow it.
func (d *Daemon) endDrain(end protocol.Event) {
	end.Type, end.Open, end.Until = protocol.Drained, 0, time.Time{}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.drainage.end == nil {
		d.drainage.end = &end
		close(d.term.drained)
	}
}

// progress is how far the drain is, and how it went when it is over, or that this generation serves again.
func (d *Daemon) progress() protocol.Event {
	d.mu.Lock()
	drain, died, serves := d.drainage, d.died, d.phase == serving
	d.mu.Unlock()
	if failed := (*upgrade.Error)(nil); serves && errors.As(died, &failed) { // whoever follows the drain is told why it has ended so
		return d.failedEvent(failed)
	}
	if drain.end != nil {
		return *drain.end
	}
	e := protocol.Event{
		Type: protocol.DrainBegan, Generation: d.Generation(), PID: os.Getpid(), StartTime: startTime(),
		Seconds: time.Since(drain.began).Seconds(), Until: drain.until,
	}
	for i, before := range drain.before {
		now := d.order[i].ln.Stats()
		r := now.Since(before)
		e.Open, e.Moved, e.Ended, e.Cut = e.Open+now.Open, e.Moved+r.Moved, e.Ended+r.Ended, e.Cut+r.Cut
	}
	return e
}
