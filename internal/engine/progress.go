package engine

import (
	"errors"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// drainage is how far this generation's drain is. The zero value has not begun.
type drainage struct {
	began  time.Time
	until  time.Time        // at the latest
	before []listener.Stats // of the groups, in their order, when it began
	end    *protocol.Event  // what came of it; nil until it is over
}

// beginDrain notes that a drain begins, or that one that has begun has less time.
func (e *Engine) beginDrain(why reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	until := time.Now().Add(longest(e.conf, why))
	if e.drainage.began.IsZero() {
		e.drainage.began, e.drainage.until = time.Now(), until
		for _, g := range e.order {
			e.drainage.before = append(e.drainage.before, g.ln.Stats())
		}
	}
	if until.Before(e.drainage.until) {
		e.drainage.until = until
	}
}

// endDrain notes how the drain went, which progress has said at its end, and tells those who follow it.
func (e *Engine) endDrain(end protocol.Event) {
	end.Type, end.Open, end.Until = protocol.Drained, 0, time.Time{}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.drainage.end == nil {
		e.drainage.end = &end
		close(e.term.drained)
	}
}

// progress is how far the drain is, and how it went when it is over, or that this generation serves again.
func (e *Engine) progress() protocol.Event {
	e.mu.Lock()
	drain, died, serves := e.drainage, e.died, e.phase == serving
	e.mu.Unlock()
	if failed := (*upgrade.Error)(nil); serves && errors.As(died, &failed) { // whoever follows the drain is told why it has ended so
		return e.failedEvent(failed)
	}
	if drain.end != nil {
		return *drain.end
	}
	ev := protocol.Event{
		Type: protocol.DrainBegan, Generation: e.Generation(), PID: os.Getpid(), StartTime: startTime(),
		Seconds: time.Since(drain.began).Seconds(), Until: drain.until,
	}
	for i, before := range drain.before {
		now := e.order[i].ln.Stats()
		r := now.Since(before)
		ev.Open, ev.Moved, ev.Ended, ev.Cut = ev.Open+now.Open, ev.Moved+r.Moved, ev.Ended+r.Ended, ev.Cut+r.Cut
	}
	return ev
}
