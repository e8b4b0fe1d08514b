package listener

import (
	"slices"
	"time"
)

// A few idle connections move at once, and the others one a millisecond, or faster where all would take longer than turnsLimit. If all moved at
// once both processes would be so busy with it that requests wait for a processor: with 90 connections and two processors, the slowest hundredth
// of the requests took twice as long.
const (
	atOnce     = 16 // which takes a millisecond or two
	turn       = time.Millisecond
	turnsLimit = 500 * time.Millisecond
)

// wakeAll has the readers of connections see that the listener drains. Those
// who begin to read after that see it by themselves.
func wakeAll(conns []socket) {
	for _, c := range conns {
		if r := c.part().idle.Load(); r != nil {
			r.Wake()
		}
	}
}

// wakeInTurn is wakeAll for a round that begins to drain, but returns at once and wakes connections that move each in its turn. Programs that
// hand over their own are told at once: these connections may wait for each other.
func (l *Listener) wakeInTurn(now *round) {
	conns := l.open()
	if rule, _ := l.idleRule(); rule.policy != moveIdle {
		wakeAll(conns)
		return
	}
	inTurn := slices.DeleteFunc(conns, func(c socket) bool {
		r := c.part().idle.Load()
		if r == nil || !r.isHandedOver() {
			return false
		}
		r.Wake()
		return true
	})
	if len(inTurn) > 0 {
		go now.wake(inTurn)
	}
}

// wake wakes conns, each in its turn, and those that are left when there is no time for that.
func (r *round) wake(conns []socket) {
	distance := min(turn, turnsLimit/time.Duration(len(conns)))
	begin := time.Now()
	for i := range conns {
		if time.Until(begin.Add(distance*time.Duration(i+1-atOnce))) > 0 && !r.pause() {
			wakeAll(conns[i:])
			return
		}
		wakeAll(conns[i : i+1])
	}
}

// pause waits for a turn, and reports whether there is time for the next.
func (r *round) pause() bool {
	timer := time.NewTimer(turn)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.late:
	case <-r.expedited:
	case <-r.drained:
	case <-r.resumed:
	}
	return false
}
