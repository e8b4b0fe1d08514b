package engine

import (
	"context"
	"errors"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// attempt is an upgrade in progress.
type attempt struct {
	asked time.Time // when somebody asked for it
	began time.Time // when it had the slot
	tell  func(protocol.Event)

	generation int // that it is to bring up

	pid       int // of the process that is to be the successor; 0 until it runs
	startTime uint64
	started   time.Time
}

// unwatched is told what nobody wants to know.
func unwatched(protocol.Event) {}

// waitForUpgradeSlot waits for the upgrade in progress, if there is one, and notes this one as the next. The
// daemon's lock for upgrades is held when it returns; over ends both.
func (e *Engine) waitForUpgradeSlot(tell func(protocol.Event)) (a *attempt, over func()) {
	a = &attempt{asked: time.Now(), tell: tell}
	if e.isUpgrading() {
		tell(protocol.Event{Type: protocol.Waiting})
	}
	e.upgrading.Lock()
	a.began, a.generation = time.Now(), e.up.Next()
	e.setAttempt(a)
	return a, func() {
		e.setAttempt(nil)
		e.upgrading.Unlock()
	}
}

func (e *Engine) setAttempt(a *attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attempt = a
}

func (e *Engine) isUpgrading() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attempt != nil
}

// watch says what the process that is to be the successor says.
func (e *Engine) watch(a *attempt) upgrade.Watcher {
	return upgrade.Watcher{
		Started: func(pid int, start uint64) {
			e.mu.Lock()
			a.pid, a.startTime, a.started = pid, start, time.Now()
			e.mu.Unlock()
			a.tell(protocol.Event{Type: protocol.Started, Generation: a.generation, PID: pid, StartTime: start})
		},
		Probation: func(pid int, lasts time.Duration) {
			e.probationBegan(pid, lasts)
			a.tell(protocol.Event{
				Type: protocol.OnTrial, Generation: a.generation, PID: pid,
				Seconds: lasts.Seconds(), Until: time.Now().Add(lasts),
			})
		},
	}
}

// noteHistory has the successor told what it cannot know.
func (e *Engine) noteHistory(a *attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up.SetHistory(upgrade.History{Failed: e.failedLocked(), Asked: a.began})
}

// failedLocked counts the upgrades that failed since generation 1.
func (e *Engine) failedLocked() int { return e.up.Manifest().History.Failed + e.failures }

// succeeded notes that the successor serves.
func (e *Engine) succeeded(a *attempt, next *upgrade.Successor) {
	took := time.Since(a.began).Seconds()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.successor, e.settledNext, e.lastSeconds = next.PID, next.Settled, &took
	e.nextStart = a.startTime // as it was when that process said who it is
}

// settledWait is the longest that who has asked for an upgrade waits for the state file to
// name a generation that serves.
const settledWait = 10 * time.Second

// tellServed says so to who has asked for the upgrade, when he would find the new generation by the
// state file, and whoever connects then is accepted by that one. The error is that of a successor which has died before that.
func (e *Engine) tellServed(a *attempt, next *upgrade.Successor, t *term) error {
	took := time.Since(a.asked).Seconds()
	ctx, cancel := context.WithTimeout(context.Background(), settledWait)
	defer cancel()
	select {
	case <-next.Settled:
		if err := e.fateOf(next, t); err != nil {
			return err
		}
	case <-ctx.Done():
	}
	if !e.isStopRequested() { // or it waits for this very upgrade to be over
		select {
		case <-t.left:
		case <-ctx.Done():
		}
	}
	now := e.replacedBy()
	if now == nil {
		return t.fate()
	}
	a.tell(protocol.Event{Type: protocol.Served, Generation: now.Generation, PID: now.PID, StartTime: now.StartTime, Seconds: took})
	return nil
}

var errLost = errors.New("it died when it had taken over, and its parent could not serve again")

// fateOf returns the error of a successor that has died before it has told everybody that it serves.
func (e *Engine) fateOf(next *upgrade.Successor, t *term) error {
	if next.Told() {
		return nil
	}
	if next.Fate == nil && !e.isStopRequested() { // it cannot serve again
		return &upgrade.Error{Stage: upgrade.StageLost, PID: next.PID, Err: errLost}
	}
	if !e.standsBy() {
		return nil
	}
	timer := time.NewTimer(settledWait)
	defer timer.Stop()
	select {
	case <-t.decided:
		return t.fate()
	case <-timer.C:
		return nil // it lives, and says no more
	}
}
