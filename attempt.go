package gozd

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
func (d *Daemon) waitForUpgradeSlot(tell func(protocol.Event)) (a *attempt, over func()) {
	a = &attempt{asked: time.Now(), tell: tell}
	if d.isUpgrading() {
		tell(protocol.Event{Type: protocol.Waiting})
	}
	d.upgrading.Lock()
	a.began, a.generation = time.Now(), d.up.Next()
	d.setAttempt(a)
	return a, func() {
		d.setAttempt(nil)
		d.upgrading.Unlock()
	}
}

func (d *Daemon) setAttempt(a *attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempt = a
}

func (d *Daemon) isUpgrading() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.attempt != nil
}

// watch says what the process that is to be the successor says.
func (d *Daemon) watch(a *attempt) upgrade.Watcher {
	return upgrade.Watcher{
		Started: func(pid int, start uint64) {
			d.mu.Lock()
			a.pid, a.startTime, a.started = pid, start, time.Now()
			d.mu.Unlock()
			a.tell(protocol.Event{Type: protocol.Started, Generation: a.generation, PID: pid, StartTime: start})
		},
		Probation: func(pid int, lasts time.Duration) {
			d.probationBegan(pid, lasts)
			a.tell(protocol.Event{
				Type: protocol.OnTrial, Generation: a.generation, PID: pid,
				Seconds: lasts.Seconds(), Until: time.Now().Add(lasts),
			})
		},
	}
}

// noteHistory has the successor told what it cannot know.
func (d *Daemon) noteHistory(a *attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up.SetHistory(upgrade.History{Failed: d.failedLocked(), Asked: a.began})
}

// failedLocked counts the upgrades that failed since generation 1.
func (d *Daemon) failedLocked() int { return d.up.Manifest().History.Failed + d.failures }

// succeeded notes that the successor serves.
func (d *Daemon) succeeded(a *attempt, next *upgrade.Successor) {
	took := time.Since(a.began).Seconds()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.successor, d.settledNext, d.lastSeconds = next.PID, next.Settled, &took
	d.nextStart = a.startTime // as it was when that process said who it is
}

// settledWait is the longest that who has asked for an upgrade waits for the state file to
// name a generation that serves.
const settledWait = 10 * time.Second

// tellServed says so to who has asked for the upgrade, when he would find the new generation by the
// state file, and whoever connects then is accepted by that one. The error is that of a successor which has died before that.
func (d *Daemon) tellServed(a *attempt, next *upgrade.Successor, t *term) error {
	took := time.Since(a.asked).Seconds()
	ctx, cancel := context.WithTimeout(context.Background(), settledWait)
	defer cancel()
	select {
	case <-next.Settled:
		if err := d.fateOf(next, t); err != nil {
			return err
		}
	case <-ctx.Done():
	}
	if !d.isStopRequested() { // or it waits for this very upgrade to be over
		select {
		case <-t.left:
		case <-ctx.Done():
		}
	}
	now := d.replacedBy()
	if now == nil {
		return t.fate()
	}
	a.tell(protocol.Event{Type: protocol.Served, Generation: now.Generation, PID: now.PID, StartTime: now.StartTime, Seconds: took})
	return nil
}

var errLost = errors.New("it died when it had taken over, and its parent could not serve again")

// fateOf returns the error of a successor that has died before it has told everybody that it serves.
func (d *Daemon) fateOf(next *upgrade.Successor, t *term) error {
	if next.Told() {
		return nil
	}
	if next.Fate == nil && !d.isStopRequested() { // it cannot serve again
		return &upgrade.Error{Stage: upgrade.StageLost, PID: next.PID, Err: errLost}
	}
	if !d.standsBy() {
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
