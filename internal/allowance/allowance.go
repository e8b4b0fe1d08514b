// Package allowance has time limits that count the time in which this process runs.
//
// A process stands still after SIGSTOP, in a container that is paused, on a machine that is, or without a processor. When it goes on, its timers
// have run out, and what it was waiting for has come, or will in an instant: whoever was to do it may have stood still as well. By the clock
// alone nobody would have had any time.
package allowance

import "time"

// Allowance is a time limit. Use New. It is not safe for concurrent use.
type Allowance struct {
	left, step time.Duration
	last       time.Time // when the clock was looked at
}

// New returns an allowance that begins now. However much time passes between two looks, no more than step counts: so somebody has to look that often.
func New(limit, step time.Duration) Allowance {
	return Allowance{left: limit, step: step, last: time.Now()}
}

// IsOver looks at the clock, and reports whether nothing is left.
func (a *Allowance) IsOver() bool {
	now := time.Now()
	a.left -= min(now.Sub(a.last), a.step)
	a.last = now
	return a.left <= 0
}

// Next is when to look again: it is a step at most, and not negative.
func (a *Allowance) Next() time.Duration { return max(min(a.left, a.step), 0) }

// Extend gives it at least that much from now on.
func (a *Allowance) Extend(left time.Duration) { a.left = max(a.left, left) }
