package gozd

import (
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// drainage is how far this generation's drain is. The zero value has not begun.
type drainage struct {
	began  time.Time
	until  time.Time      // at the latest
	before []listen.Stats // of the groups, in their order, when it began
	result *listen.Result // of all groups together; nil until it is over
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

// endDrain notes how the drain went, and tells those who follow it.
func (d *Daemon) endDrain(result listen.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.drainage.result == nil {
		d.drainage.result = &result
		close(d.drained)
	}
}

// progress is how far the drain is, and how it went when it is over.
func (d *Daemon) progress() protocol.Event {
	d.mu.Lock()
	drain := d.drainage
	d.mu.Unlock()
	e := protocol.Event{Type: protocol.DrainBegan, Generation: d.Generation(), PID: os.Getpid(), StartTime: startTime()}
	if drain.result != nil {
		e.Type, e.Seconds = protocol.Drained, drain.result.Took.Seconds()
		e.Moved, e.Ended, e.Cut = drain.result.Moved, drain.result.Ended, drain.result.Cut
		return e
	}
	for i, g := range d.order {
		now := g.ln.Stats()
		e.Open += now.Open
		if drain.before != nil { // else it begins just now
			r := now.Since(drain.before[i])
			e.Moved, e.Ended, e.Cut = e.Moved+r.Moved, e.Ended+r.Ended, e.Cut+r.Cut
		}
	}
	if !drain.began.IsZero() {
		e.Seconds, e.Until = time.Since(drain.began).Seconds(), drain.until
	}
	return e
}

// sum adds up what became of the connections of all groups. The longest drain is that of
// the generation.
func sum(results []listen.Result) listen.Result {
	var all listen.Result
	for _, r := range results {
		all.Moved += r.Moved
		all.Ended += r.Ended
		all.Cut += r.Cut
		all.Took = max(all.Took, r.Took)
	}
	return all
}
