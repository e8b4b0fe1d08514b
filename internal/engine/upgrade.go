package engine

import (
	"errors"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Upgrade starts the next generation, and returns when that one serves, or has failed: then the error is an *upgrade.Error, or one of
// this package's.
func (e *Engine) Upgrade() error { return e.upgrade(unwatched) }

// upgrade is Upgrade, and tells how it goes while it does, but not of a failure.
func (e *Engine) upgrade(tell func(protocol.Event)) error {
	a := &attempt{asked: time.Now(), tell: tell}
	defer e.attempts.begin(a, e.up.Next)()
	if !e.life.is(serving) {
		return ErrNotServing
	}
	if !e.up.Supported() {
		return ErrNotSupported
	}
	e.attempts.setWanted(false) // whoever has asked until now gets this one
	if err := e.super.refusal(); err != nil {
		return e.upgradeFailed(err)
	}
	announce := sync.OnceFunc(func() { e.super.notify(supervise.Event{Kind: supervise.Upgrading, Within: e.upgradeWait()}) })
	if e.opts.OnUpgrade != nil {
		announce()
	}
	defer e.lendFDs()()
	if err := e.hooks.mayUpgrade(e.life.now().serves); err != nil {
		return e.upgradeFailed(err)
	}
	if err := e.keepBound(e.life.now().serves); err != nil {
		return e.upgradeFailed(err)
	}
	e.logfile.forget()
	e.up.SetHistory(upgrade.History{Failed: e.failedUpgrades(), Asked: a.began})
	offered := &transfer{Engine: e}
	next, err := e.up.Upgrade(func() []peers.Peer { // while the successor starts, which takes longer
		announce()
		offered.offer()
		return append(peers.Living(e.up.Manifest().Ancestors), e.self())
	}, e.watch(a))
	e.probationEnded(a, err == nil)
	if err != nil {
		offered.rollback()
		return e.upgradeFailed(err)
	}
	e.log.Info("upgraded", "successor", next.PID, "took", time.Since(a.began).Round(time.Millisecond))
	t := e.life.now()
	e.life.succeeded(successor{Peer: a.next, settled: next.Settled}, time.Since(a.began))
	if e.logfile.isAsked() {
		e.life.signalSuccessor(sigReopen)
	}
	offered.commit(next.Dropped)
	e.conns.passing.Add(1) // or the process might end before it has passed requests on
	defer e.conns.passing.Done()
	if next.Fate == nil {
		e.leave(replacedForGood, replaced)
	} else {
		e.leave(replacedBySuccessor, replaced)
		go e.standBy(t, next, offered.access)
	}
	if e.attempts.setWanted(false) { // another request has come during this upgrade
		e.forwardToSuccessor(sigUpgrade)
	}
	return e.tellServed(a, next, t)
}

// startTime is this process's own. An error leaves 0, which is a valid answer:
// unknown.
var startTime = sync.OnceValue(func() uint64 {
	start, _ := process.StartTime(os.Getpid())
	return start
})

// self is this process as its successors know it.
func (e *Engine) self() peers.Peer {
	return peers.Peer{Generation: e.Generation(), PID: os.Getpid(), StartTime: startTime(), PIDFile: e.PIDFile()}
}

// upgradeFailed puts everything back, and returns the error for whoever has asked.
func (e *Engine) upgradeFailed(err error) error {
	if !e.life.is(serving) {
		return ErrNotServing // the upgrade was cut short by a stop
	}
	e.life.failed(err)
	e.super.notifyFailed(err)
	e.log.Error("upgrade failed", "error", err)
	defer e.lendFDs()()
	server.RemoveStale(e.PIDFile()) // one on probation had a control socket
	// The process that failed may have put its own PID there at the last moment.
	if restoreErr := e.restoreFiles(); restoreErr != nil {
		e.log.Error("PID file not restored", "error", restoreErr)
		e.keepWriting()
	}
	return err
}

func (e *Engine) restoreFiles() error { return errors.Join(e.files.RestorePID(), e.writeState()) }

// watchUpgrades does the upgrades that are asked for. Errors have been logged.
func (e *Engine) watchUpgrades() {
	select {
	case <-e.settled.Done():
	case <-e.done.Done():
		return
	}
	e.keepBoundNow()
	for {
		select {
		case <-e.attempts.askedBy:
			if e.attempts.isWanted() { // or one has begun meanwhile: the control socket and the program ask for some too
				_ = e.Upgrade()
			}
		case <-e.done.Done():
			return
		}
	}
}

// upgradeWait is the longest that it takes until an upgrade's outcome is known.
func (e *Engine) upgradeWait() time.Duration {
	wait := e.conf.Daemon.UpgradeTimeout + killWait + e.stopWait() + killWait // the latter for the oldest generation: see keepBound
	if e.opts.OnUpgrade != nil {
		wait += e.conf.Daemon.UpgradeTimeout
	}
	if e.conf.Daemon.Probation > 0 {
		wait += e.conf.Daemon.Probation + verdictTime(e.conf)
	}
	return wait
}
