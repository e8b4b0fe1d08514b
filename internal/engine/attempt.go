package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
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
	asked  time.Time // when somebody asked for it
	began  time.Time // when it had the slot
	notify func(protocol.Event)

	next      peers.Peer // the generation that it is to bring up; its PID is 0 until it runs
	started   time.Time
	candidate *candidate // that process, when it serves on probation; nil before
}

// candidate is a successor that serves beside this generation, on probation.
type candidate struct {
	peers.Peer
	until time.Time // then its health check begins

	over   chan struct{} // closed when its probation is over
	passed bool          // it serves; set before that
}

// unwatched is told what nobody wants to know.
func unwatched(protocol.Event) {}

// begin waits for the upgrade in progress, if there is one, and notes this one as the next, with the number that generation then has. The
// slot is taken when it returns; over ends both.
func (u *attempts) begin(a *attempt, generation func() int) (over func()) {
	if u.now() != nil {
		a.notify(protocol.Event{Type: protocol.Waiting})
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

// probationBegan notes that the process that is to be the successor serves beside this one.
func (u *attempts) probationBegan(a *attempt, lasts time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a.candidate = &candidate{Peer: a.next, until: time.Now().Add(lasts), over: make(chan struct{})}
}

// probationEnded is called when the outcome of an upgrade is known.
func (u *attempts) probationEnded(a *attempt, passed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := a.candidate; c != nil {
		c.passed, a.candidate = passed, nil
		close(c.over)
	}
}

// rollBack asks the successor on probation to end, and waits for its outcome, no longer than limit. It reports false where there is
// none. It is not killed, and so clients that it serves are not either.
func (u *attempts) rollBack(limit context.Context, log *slog.Logger) (next *candidate, found bool) {
	if next = u.candidate(); next == nil {
		return nil, false
	}
	signalPeer(log, next.Peer, sigRollback)
	select {
	case <-next.over:
	case <-limit.Done():
	}
	return next, true
}
