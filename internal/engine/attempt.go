package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// attempts are this generation's upgrades: one at a time, and what has been asked for.
type attempts struct {
	slot    sync.Mutex    // held by an upgrade, and by what must not be beside one
	askedBy chan struct{} // has a value when wanted may be true

	mu      sync.Mutex // guards what follows
	wanted  bool       // an upgrade has been asked for by a signal, and has not begun
	current *attempt   // nil if there is none
}

func newAttempts() attempts {
	return attempts{askedBy: make(chan struct{}, 1)}
}

// attempt is an upgrade in progress.
type attempt struct {
	asked time.Time // when somebody asked for it
	began time.Time // when it had the slot
	tell  func(protocol.Event)

	next      peers.Peer // the generation that it is to bring up; its PID is 0 until it runs
	started   time.Time
	candidate *candidate // that process, when it serves on probation; nil before
}

// unwatched is told what nobody wants to know.
func unwatched(protocol.Event) {}

// begin waits for the upgrade in progress, if there is one, and notes this one as the next, with the number that generation then has. The
// slot is taken when it returns; over ends both.
func (u *attempts) begin(a *attempt, generation func() int) (over func()) {
	if u.now() != nil {
		a.tell(protocol.Event{Type: protocol.Waiting})
	}
	u.slot.Lock()
	a.began, a.next.Generation = time.Now(), generation()
	u.set(a)
	return func() {
		u.set(nil)
		u.slot.Unlock()
	}
}

func (u *attempts) set(a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.current = a
}

// now is a copy of the upgrade in progress; nil if there is none.
func (u *attempts) now() *attempt {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.current == nil {
		return nil
	}
	a := *u.current
	return &a
}

// candidate is the successor on probation; nil if there is none.
func (u *attempts) candidate() *candidate {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.current == nil {
		return nil
	}
	return u.current.candidate
}

// started notes which process is to be the successor.
func (u *attempts) started(a *attempt, pid int, startTime uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a.next.PID, a.next.StartTime, a.started = pid, startTime, time.Now()
}

// setWanted reports whether an upgrade is asked for that has not begun, and notes whether one
// is from now on.
func (u *attempts) setWanted(now bool) (before bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before, u.wanted = u.wanted, now
	return before
}

func (u *attempts) isWanted() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.wanted
}

// request asks for an upgrade after the one in progress, if any.
func (u *attempts) request() {
	u.setWanted(true)
	select {
	case u.askedBy <- struct{}{}:
	default: // one is waiting already, and will take the newest binary too
	}
}

// watch says what the process that is to be the successor says.
func (e *Engine) watch(a *attempt) upgrade.Watcher {
	return upgrade.Watcher{
		Started: func(pid int, start uint64) {
			e.attempts.started(a, pid, start)
			a.tell(protocol.Event{Type: protocol.Started, Generation: a.next.Generation, PID: pid, StartTime: start})
		},
		Probation: func(pid int, lasts time.Duration) {
			e.probationBegan(a, pid, lasts)
			a.tell(protocol.Event{
				Type: protocol.OnTrial, Generation: a.next.Generation, PID: pid,
				Seconds: lasts.Seconds(), Until: time.Now().Add(lasts),
			})
		},
	}
}

// failedUpgrades counts the upgrades that failed since generation 1.
func (e *Engine) failedUpgrades() int {
	return e.up.Manifest().History.Failed + e.life.upgrades().failures
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
	if !e.life.isStopRequested() { // or it waits for this very upgrade to be over
		select {
		case <-t.left.Done():
		case <-ctx.Done():
		}
	}
	now := e.life.replacedBy()
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
	if next.Fate == nil && !e.life.isStopRequested() { // it cannot serve again
		return &upgrade.Error{Stage: upgrade.StageLost, PID: next.PID, Err: errLost}
	}
	if !e.life.standsBy() {
		return nil
	}
	timer := time.NewTimer(settledWait)
	defer timer.Stop()
	select {
	case <-t.decided.Done():
		return t.fate()
	case <-timer.C:
		return nil // it lives, and says no more
	}
}
