package engine

import (
	"errors"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Upgrade starts the next generation, and returns when that one serves, or has failed: then the error is an *upgrade.Error, or one of
// this package's.
func (e *Engine) Upgrade() error { return e.upgrade(unwatched) }

// upgrade is Upgrade, and tells how it goes while it does, but not of a failure.
func (e *Engine) upgrade(tell func(protocol.Event)) error {
	a, over := e.waitForUpgradeSlot(tell)
	defer over()
	if !e.phaseIs(serving) {
		return ErrNotServing
	}
	e.setWanted(false) // whoever has asked until now gets this one
	if err := e.refusal(); err != nil {
		return e.upgradeFailed(err)
	}
	announce := sync.OnceFunc(func() { e.notifySupervisor(supervise.Event{Kind: supervise.Upgrading, Within: e.upgradeWait()}) })
	if e.opts.OnUpgrade != nil {
		announce()
	}
	defer e.lendFDs()()
	if err := e.askProgram(); err != nil {
		return e.upgradeFailed(err)
	}
	if err := e.keepBound(e.now().serves); err != nil {
		return e.upgradeFailed(err)
	}
	e.forgetReopen()
	e.noteHistory(a)
	var access map[string]socket.Options
	var forward *channel
	var back *returnChannel
	next, err := e.up.Upgrade(func() []upgrade.Ancestor { // while the successor starts, which takes longer
		announce()
		access = e.groups.Access()
		e.groups.AllowSharing(true)
		forward, back = e.offerChannel(), e.offerReturn()
		return append(e.livingAncestors(), e.self())
	}, e.watch(a))
	e.probationEnded(err == nil)
	e.groups.AllowSharing(false)
	e.withdraw(forward, err != nil)
	e.closeReturn(back)
	if err != nil {
		e.groups.RestoreAccess(access)
		return e.upgradeFailed(err)
	}
	e.log.Info("upgraded", "successor", next.PID, "took", time.Since(a.began).Round(time.Millisecond))
	t := e.now()
	e.succeeded(a, next)
	e.reopenSuccessor(next.PID)
	if len(next.Dropped) > 0 {
		e.up.Relieve(relieveWait) // or these sockets would be open in the generation before this one
	}
	e.groups.Drop(next.Dropped)
	e.moveTo(forward)
	e.passing.Add(1) // or the process might end before it has passed requests on
	defer e.passing.Done()
	e.leave(replaced, phaseBehind(next))
	if next.Fate != nil {
		go e.standBy(t, next, access)
	}
	if e.setWanted(false) { // another request has come during this upgrade
		e.forwardToSuccessor(sigUpgrade)
	}
	return e.tellServed(a, next, t)
}

// phaseBehind is the phase of a generation whose successor has taken over.
func phaseBehind(next *upgrade.Successor) phase {
	if next.Fate == nil { // it cannot stand by
		return draining
	}
	return standingBy
}

// startTime is this process's own. An error leaves 0, which is a valid answer:
// unknown.
var startTime = sync.OnceValue(func() uint64 {
	start, _ := process.StartTime(os.Getpid())
	return start
})

// self is this process as its successors know it.
func (e *Engine) self() upgrade.Ancestor {
	return upgrade.Ancestor{Generation: e.Generation(), PID: os.Getpid(), StartTime: startTime(), PIDFile: e.PIDFile()}
}

// upgradeFailed puts everything back, and returns the error for whoever has asked.
func (e *Engine) upgradeFailed(err error) error {
	if !e.phaseIs(serving) {
		return ErrNotServing // the upgrade was cut short by a stop
	}
	if errors.Is(err, upgrade.ErrNotSupported) {
		return err
	}
	e.mu.Lock()
	e.failures++
	e.failure = err.Error()
	e.mu.Unlock()
	e.notifySupervisor(supervise.Event{Kind: supervise.Failed, Text: err.Error()})
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

// awaitSuccessor waits until the state file names the next generation, or that one has ended: who reads it
// never finds a generation that is gone in place of one that serves. There is nothing to wait for without one.
func (e *Engine) awaitSuccessor() {
	e.mu.Lock()
	settled := e.settledNext
	e.mu.Unlock()
	if settled != nil {
		<-settled
	}
}

// setWanted reports whether an upgrade is asked for that has not begun, and notes whether one
// is from now on.
func (e *Engine) setWanted(now bool) (before bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before, e.wanted = e.wanted, now
	return before
}

// signalSuccessor signals the successor. It may have ended since, and a stranger may have its PID.
func (e *Engine) signalSuccessor(pid int, sig os.Signal) {
	e.mu.Lock()
	start := e.nextStart
	e.mu.Unlock()
	e.signalProcess(pid, start, sig)
}

// signalProcess signals a newer generation, if it is still there.
func (e *Engine) signalProcess(pid int, startTime uint64, sig os.Signal) {
	p, err := process.Open(pid, startTime)
	if err != nil {
		return
	}
	defer p.Close()
	if err := p.Signal(sig); err != nil {
		e.log.Warn("successor not signalled", "successor", pid, "error", err)
	}
}

// requestUpgrade asks for an upgrade after the one in progress, if any.
func (e *Engine) requestUpgrade() {
	e.setWanted(true)
	select {
	case e.upgrades <- struct{}{}:
	default: // one is waiting already, and will take the newest binary too
	}
}

// watchUpgrades does the upgrades that are asked for. Errors have been logged.
func (e *Engine) watchUpgrades() {
	select {
	case <-e.settled:
	case <-e.done:
		return
	}
	e.keepBoundNow()
	for {
		select {
		case <-e.upgrades:
			e.upgradeIfWanted()
		case <-e.done:
			return
		}
	}
}

// upgradeIfWanted does an upgrade that is asked for, unless one has begun meanwhile: the
// control socket and the program ask for some too.
func (e *Engine) upgradeIfWanted() {
	e.mu.Lock()
	wanted := e.wanted
	e.mu.Unlock()
	if wanted {
		_ = e.Upgrade()
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
