package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Upgrade starts the next generation, and returns when that one serves, or has failed: then the error is an *upgrade.Error, or one of
// this package's.
func (e *Engine) Upgrade() error { return e.upgrade(unwatched) }

// upgrade is Upgrade, and tells how it goes while it does, but not of a failure.
func (e *Engine) upgrade(notify func(protocol.Event)) error {
	u := &upgrading{Engine: e, a: &attempt{asked: time.Now(), notify: notify}}
	defer e.attempts.begin(u.a, e.up.Next)()
	if !e.life.is(serving) {
		return ErrNotServing
	}
	if !e.up.Supported() {
		return ErrNotSupported
	}
	if err := e.files.awaitRestored(); err != nil {
		return &upgrade.Error{Stage: upgrade.StageRefused, Err: err}
	}
	e.attempts.setWanted(false) // whoever has asked until now gets this one
	u.t = e.life.now()
	return u.run()
}

// upgrading is the upgrade in progress.
type upgrading struct {
	*Engine
	a *attempt
	t *term // in which it began
}

func (u *upgrading) run() error {
	if err := u.super.refusal(); err != nil {
		return u.failed(err)
	}
	announce := sync.OnceFunc(func() {
		u.super.notify(supervise.Event{Kind: supervise.Upgrading, Within: upgradeWait(u.conf, u.hooks.OnUpgrade != nil)})
	})
	if u.hooks.OnUpgrade != nil {
		announce()
	}
	defer u.fds.lend()()
	if err := u.hooks.mayUpgrade(u.t.serves); err != nil {
		return u.failed(err)
	}
	if err := u.ancestors.keepBound(u.t.serves); err != nil {
		return u.failed(err)
	}
	u.files.logfile.forget()
	tried := earlierUpgrades{Failed: u.life.upgrades().failures, Asked: u.a.began}
	offered := &transfer{Engine: u.Engine}
	next, err := u.up.Upgrade(func() (json.RawMessage, error) { // while the successor starts, which takes longer
		announce()
		offered.offer()
		return payload(u.Engine, append(u.ancestors.living(), u.self), tried)
	}, u.watcher())
	u.attempts.probationEnded(u.a, err == nil)
	if err != nil {
		offered.rollback()
		return u.failed(err)
	}
	return u.succeeded(next, offered)
}

// succeeded lets go of what the successor has taken over, and returns the error of one that has died a moment later.
func (u *upgrading) succeeded(next *upgrade.Successor, offered *transfer) error {
	took := time.Since(u.a.began)
	u.log.Info("upgraded", "successor", next.PID, "took", took.Round(time.Millisecond))
	peer := u.a.next
	peer.PIDFile = cmp.Or(next.PIDFile, u.PIDFile())
	u.life.succeeded(successor{Peer: peer, reportEnded: next.ReportEnded, isEnding: next.IsEnding}, took)
	if u.files.logfile.isAsked() {
		u.life.signalSuccessor(sigReopen)
	}
	offered.commit(next.Dropped)
	u.conns.passing.Add(1) // or the process might end before it has passed requests on
	defer u.conns.passing.Done()
	if next.Outcome == nil {
		u.leave(replacedForGood, replaced)
	} else {
		u.leave(replacedBySuccessor, replaced)
		s := &standby{Engine: u.Engine, t: u.t, access: offered.access}
		go s.await(next.Outcome)
	}
	if u.attempts.setWanted(false) { // another request has come during this upgrade
		u.signals.forwardToSuccessor(sigUpgrade)
	}
	return u.notifyServed(next)
}

// failed puts everything back, and returns the error for whoever has asked.
func (u *upgrading) failed(err error) error {
	if !u.life.is(serving) {
		return ErrNotServing // the upgrade was cut short by a stop
	}
	u.life.failed(err)
	u.super.notifyFailed(err)
	u.log.Error("upgrade failed", "error", err)
	defer u.fds.lend()()
	server.RemoveStale(u.PIDFile(), failedPID(err)) // one on probation had a control socket
	// The process that failed may have got as far as to serve, and have ended before this one has looked: then its PID is there, and where its
	// configuration has another PID file, the lock's file is not.
	if !u.files.restore() {
		u.files.keepWriting(u.done.Done(), &u.attempts.slot, u.life)
	}
	return err
}

// watcher says what the process that is to be the successor says.
func (u *upgrading) watcher() upgrade.Watcher {
	a := u.a
	return upgrade.Watcher{
		Started: func(pid int, start uint64) {
			u.attempts.started(a, pid, start)
			a.notify(protocol.Event{Type: protocol.Started, Generation: a.next.Generation, PID: pid, StartTime: start})
		},
		Probation: func(pid int, lasts time.Duration) {
			u.attempts.probationBegan(a, lasts)
			u.log.Info("successor on probation", "successor", pid, "for", lasts)
			a.notify(protocol.Event{
				Type: protocol.OnProbation, Generation: a.next.Generation, PID: pid,
				Seconds: lasts.Seconds(), Until: time.Now().Add(lasts),
			})
		},
	}
}

// settledWait is the longest that who has asked for an upgrade waits for the state file to
// name a generation that serves.
const settledWait = 10 * time.Second

// notifyServed says so to who has asked for the upgrade, when he would find the new generation by the
// state file, and whoever connects then is accepted by that one. The error is that of a successor which has died before that.
func (u *upgrading) notifyServed(next *upgrade.Successor) error {
	took := time.Since(u.a.asked).Seconds()
	ctx, cancel := context.WithTimeout(context.Background(), settledWait)
	defer cancel()
	select {
	case <-next.ReportEnded:
		if err := u.outcomeOf(next); err != nil {
			return err
		}
	case <-ctx.Done():
	}
	if !u.life.isStopRequested() { // or it waits for this very upgrade to be over
		select {
		case <-u.t.left.Done():
		case <-ctx.Done():
		}
	}
	now := u.life.replacedBy()
	if now == nil {
		return u.t.outcome()
	}
	served := protocol.Event{Type: protocol.Served, Generation: now.Generation, PID: now.PID, StartTime: now.StartTime, Seconds: took}
	if now.PIDFile != u.PIDFile() {
		served.PIDFile = now.PIDFile
	}
	u.a.notify(served)
	return nil
}

var errLost = errors.New("it died when it had taken over, and its parent could not serve again")

// outcomeOf returns the error of a successor that has died before it has told everybody that it serves.
func (u *upgrading) outcomeOf(next *upgrade.Successor) error {
	if next.Reported() {
		return nil
	}
	if next.Outcome == nil && !u.life.isStopRequested() { // it cannot serve again
		return &upgrade.Error{Stage: upgrade.StageLost, PID: next.PID, Err: errLost}
	}
	if !u.life.standsBy() {
		return nil
	}
	timer := time.NewTimer(settledWait)
	defer timer.Stop()
	select {
	case <-u.t.decided.Done():
		return u.t.outcome()
	case <-timer.C:
		return nil // it lives, and says no more
	}
}
