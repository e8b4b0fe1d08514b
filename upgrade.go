package gozd

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

// Upgrade starts the newest binary with the newest configuration as the next
// generation, and returns when that one serves. Then this generation drains, and
// Exit will ask the program to end. Should the new generation die while this one drains, this one serves again, and can be
// upgraded again; see Options.OnResume. If that happens before everybody could know of the new one, it is an error.
//
// When it fails, the error is an *[UpgradeError] that says why, and this generation serves on as if nothing had happened, except at
// the stage "lost": then nobody serves. ErrNotServing is
// returned in a generation that does not serve, and ErrNotSupported where the
// platform cannot do it. Upgrades run one at a time; a call waits for the one
// before it, and fails with ErrNotServing if that one succeeded.
func (d *Daemon) Upgrade() error {
	err := d.upgrade(unwatched)
	if failed, ok := err.(*upgrade.Error); ok {
		return (*UpgradeError)(failed)
	}
	return err
}

// upgrade is Upgrade, and tells how it goes while it does, but not of a failure.
func (d *Daemon) upgrade(tell func(protocol.Event)) error {
	a, over := d.waitForUpgradeSlot(tell)
	defer over()
	if !d.phaseIs(serving) {
		return ErrNotServing
	}
	d.setWanted(false) // whoever has asked until now gets this one
	if err := d.refusal(); err != nil {
		return d.upgradeFailed(err)
	}
	announce := sync.OnceFunc(func() { d.notifySupervisor(supervise.Event{Kind: supervise.Upgrading, Within: d.upgradeWait()}) })
	if d.opts.OnUpgrade != nil {
		announce()
	}
	defer d.lendFDs()()
	if err := d.askProgram(); err != nil {
		return d.upgradeFailed(err)
	}
	if err := d.keepBound(d.now().serves); err != nil {
		return d.upgradeFailed(err)
	}
	d.forgetReopen()
	d.noteHistory(a)
	var access map[string]socket.Options
	var forward *channel
	var back *returnChannel
	next, err := d.up.Upgrade(func() []upgrade.Ancestor { // while the successor starts, which takes longer
		announce()
		access = d.socketAccess()
		d.allowSharing(true)
		forward, back = d.offerChannel(), d.offerReturn()
		return append(d.livingAncestors(), d.self())
	}, d.watch(a))
	d.probationEnded(err == nil)
	d.allowSharing(false)
	d.withdraw(forward, err != nil)
	d.closeReturn(back)
	if err != nil {
		d.restoreAccess(access)
		return d.upgradeFailed(err)
	}
	d.log.Info("upgraded", "successor", next.PID, "took", time.Since(a.began).Round(time.Millisecond))
	t := d.now()
	d.succeeded(a, next)
	d.reopenSuccessor(next.PID)
	if len(next.Dropped) > 0 {
		d.up.Relieve(relieveWait) // or these sockets would be open in the generation before this one
	}
	d.drop(next.Dropped)
	d.moveTo(forward)
	d.passing.Add(1) // or the process might end before it has passed requests on
	defer d.passing.Done()
	d.leave(replaced, phaseBehind(next))
	if next.Fate != nil {
		go d.standBy(t, next, access)
	}
	if d.setWanted(false) { // another request has come during this upgrade
		d.forwardToSuccessor(sigUpgrade)
	}
	return d.tellServed(a, next, t)
}

// phaseBehind is the phase of a generation whose successor has taken over.
func phaseBehind(next *upgrade.Successor) phase {
	if next.Fate == nil { // it cannot stand by
		return draining
	}
	return standingBy
}

// drop has the sockets that the successor has not taken over end with those who
// have already connected, and no others.
func (d *Daemon) drop(groups []string) {
	for _, name := range groups {
		g := d.groups[name]
		if g.activated {
			continue
		}
		if g.conf.Listen.Network == "unix" {
			_ = socket.RemoveFile(g.conf.Listen.Address, g.file) // the successor does too, perhaps later
		}
		g.ln.EmptyQueue()
	}
}

// allowSharing lets a successor whose group has moved to another host keep the
// port, and ends that after the upgrade. A socket that refuses only matters to a successor that needs it, and that
// one says so.
func (d *Daemon) allowSharing(allow bool) {
	for _, g := range d.order {
		if g.conf.Listen.Network == "tcp" && !g.activated {
			_ = socket.AllowSharing(g.ln, allow)
		}
	}
}

// startTime is this process's own. An error leaves 0, which is a valid answer:
// unknown.
var startTime = sync.OnceValue(func() uint64 {
	start, _ := process.StartTime(os.Getpid())
	return start
})

// self is this process as its successors know it.
func (d *Daemon) self() upgrade.Ancestor {
	return upgrade.Ancestor{Generation: d.Generation(), PID: os.Getpid(), StartTime: startTime(), PIDFile: d.PIDFile()}
}

// upgradeFailed puts everything back, and returns the error for whoever has asked.
func (d *Daemon) upgradeFailed(err error) error {
	if !d.phaseIs(serving) {
		return ErrNotServing // the upgrade was cut short by a stop
	}
	if errors.Is(err, upgrade.ErrNotSupported) {
		return err
	}
	d.mu.Lock()
	d.failures++
	d.failure = err.Error()
	d.mu.Unlock()
	d.notifySupervisor(supervise.Event{Kind: supervise.Failed, Text: err.Error()})
	d.log.Error("upgrade failed", "error", err)
	defer d.lendFDs()()
	server.RemoveStale(d.PIDFile()) // one on probation had a control socket
	// The process that failed may have put its own PID there at the last moment.
	if restoreErr := d.restoreFiles(); restoreErr != nil {
		d.log.Error("PID file not restored", "error", restoreErr)
		d.keepWriting()
	}
	return err
}

func (d *Daemon) restoreFiles() error { return errors.Join(d.files.RestorePID(), d.writeState()) }

// awaitSuccessor waits until the state file names the next generation, or that one has ended: who reads it
// never finds a generation that is gone in place of one that serves. There is nothing to wait for without one.
func (d *Daemon) awaitSuccessor() {
	d.mu.Lock()
	settled := d.settledNext
	d.mu.Unlock()
	if settled != nil {
		<-settled
	}
}

// setWanted reports whether an upgrade is asked for that has not begun, and notes whether one
// is from now on.
func (d *Daemon) setWanted(now bool) (before bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, d.wanted = d.wanted, now
	return before
}

// signalSuccessor signals the successor. It may have ended since, and a stranger may have its PID.
func (d *Daemon) signalSuccessor(pid int, sig os.Signal) {
	d.mu.Lock()
	start := d.nextStart
	d.mu.Unlock()
	d.signalProcess(pid, start, sig)
}

// signalProcess signals a newer generation, if it is still there.
func (d *Daemon) signalProcess(pid int, startTime uint64, sig os.Signal) {
	p, err := process.Open(pid, startTime)
	if err != nil {
		return
	}
	defer p.Close()
	if err := p.Signal(sig); err != nil {
		d.log.Warn("successor not signalled", "successor", pid, "error", err)
	}
}

// requestUpgrade asks for an upgrade after the one in progress, if any.
func (d *Daemon) requestUpgrade() {
	d.setWanted(true)
	select {
	case d.upgrades <- struct{}{}:
	default: // one is waiting already, and will take the newest binary too
	}
}

// watchUpgrades does the upgrades that are asked for. Errors have been logged.
func (d *Daemon) watchUpgrades() {
	select {
	case <-d.settled:
	case <-d.done:
		return
	}
	d.keepBoundNow()
	for {
		select {
		case <-d.upgrades:
			d.upgradeIfWanted()
		case <-d.done:
			return
		}
	}
}

// upgradeIfWanted does an upgrade that is asked for, unless one has begun meanwhile: the
// control socket and the program ask for some too.
func (d *Daemon) upgradeIfWanted() {
	d.mu.Lock()
	wanted := d.wanted
	d.mu.Unlock()
	if wanted {
		_ = d.Upgrade()
	}
}

// upgradeWait is the longest that it takes until an upgrade's outcome is known.
func (d *Daemon) upgradeWait() time.Duration {
	wait := d.conf.Daemon.UpgradeTimeout + killWait + d.stopWait() + killWait // the latter for the oldest generation: see keepBound
	if d.opts.OnUpgrade != nil {
		wait += d.conf.Daemon.UpgradeTimeout
	}
	if d.conf.Daemon.Probation > 0 {
		wait += d.conf.Daemon.Probation + verdictTime(d.conf)
	}
	return wait
}
