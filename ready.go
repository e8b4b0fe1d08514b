package gozd

import (
	"fmt"
	"os"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Ready says that the program has warmed up and is ready to serve, in a program
// that has set Options.ManualReady. It returns when this process serves, be it on
// probation, or an error when it cannot: then this generation ends, as one does that is not ready in time. In other programs, and when called again, it does nothing.
// Groups that nobody accepts on yet are no obstacle: their clients wait.
func (d *Daemon) Ready() error {
	if !d.opts.ManualReady {
		return nil
	}
	err := d.warm()
	if err != nil {
		d.fail(upgrade.StageReady, err)
	}
	return err
}

// warm is called when the program can serve: now it does, beside its predecessor if
// it is on probation.
func (d *Daemon) warm() error {
	lasts := d.probation()
	if lasts <= 0 {
		return d.becomeReady()
	}
	if d.beginProbation(lasts) {
		d.watchSignal(sigRollback)
		go d.passProbation(lasts)
	}
	return nil
}

// readyTimeout is how long this process may take: as long as its predecessor
// waits for it, or as its own configuration says.
func (d *Daemon) readyTimeout() time.Duration {
	if t := d.up.Manifest().Timeout; t > 0 {
		return t
	}
	return d.conf.Daemon.UpgradeTimeout
}

// accepting notes that a group is being accepted on; with the last one the
// process is ready.
func (d *Daemon) accepting(g *group) {
	d.mu.Lock()
	g.open = true
	waiting := len(d.silentLocked()) > 0 || d.opts.ManualReady
	d.mu.Unlock()
	if waiting {
		return
	}
	if err := d.warm(); err != nil {
		d.fail(upgrade.StageReady, err)
	}
}

// silentLocked returns the groups that nobody accepts on.
func (d *Daemon) silentLocked() []string {
	var silent []string
	for _, g := range d.order {
		if !g.open {
			silent = append(silent, g.conf.Name)
		}
	}
	return silent
}

// becomeReady makes this process the one that serves. The PID file names it
// before anyone is told; then the previous generation is told, and stops
// accepting while this one begins; the state file is last, and says that all of it
// is done.
func (d *Daemon) becomeReady() error {
	if !d.beginServing() {
		return nil
	}
	defer close(d.settled) // a stop that comes meanwhile removes these files after they are written
	fault.At(fault.BeforeReady)
	if err := d.files.WritePID(); err != nil {
		return err
	}
	if err := d.receiveConnections(); err != nil {
		d.log.Warn("connections of the previous generation stay there", "error", err)
	}
	fault.At(fault.PIDWritten)
	if err := d.listenOnAll(); err != nil {
		return err
	}
	d.notifySupervisor(supervise.Event{Kind: supervise.Serving}) // first: signals to the one before would come too late from now on
	d.up.Ready()
	fault.At(fault.TookOver)
	d.openGate()
	if err := d.saveState(); err != nil {
		// It serves, and the previous generation goes: too late to fail.
		d.log.Error("state file not written", "error", err)
		d.keepWriting()
	}
	d.followLog()
	d.report.Ready(d.up.Kept())
	if err := d.up.Check([]upgrade.Ancestor{d.self()}); err != nil {
		d.log.Warn("upgrades will fail", "error", err)
	}
	if f := d.up.File(fileReturn); f != nil {
		_ = f.Close() // nothing goes back any more
	}
	d.tidyAfterPredecessor()
	d.watchParent()
	go d.keepAlive()
	d.warnOfIgnored()
	d.log.Info("serving", "binary", d.binary, "groups", strings.Join(d.names(), " "))
	return nil
}

// openGate has Accept begin.
func (d *Daemon) openGate() {
	select {
	case <-d.gate: // by the probation
	default:
		d.reserveFDs() // before the first client comes
		close(d.gate)
		go d.openControl() // nobody waits for it
	}
}

// beginServing changes the phase once.
func (d *Daemon) beginServing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != starting && d.phase != onProbation {
		return false
	}
	d.enterLocked(serving)
	d.since = d.entered
	if asked := d.up.Manifest().History.Asked; !asked.IsZero() {
		took := d.since.Sub(asked).Seconds()
		d.lastSeconds = &took
	}
	d.deadline.Stop()
	return true
}

// tidyAfterPredecessor removes what the previous generation's configuration had
// and this one's has not.
func (d *Daemon) tidyAfterPredecessor() {
	d.removeOldSockets()
	if err := d.files.RemoveFormer(); err != nil {
		d.log.Warn("old PID file not removed", "error", err)
	}
}

// heedParent has this process say why it is not ready when its parent waits no longer. The parent's clock is the one that
// counts: what this process did before it had one of its own is no reason to be killed without a word.
func (d *Daemon) heedParent() {
	select {
	case <-d.up.Late():
		d.notReady()
	case <-d.settled:
	case <-d.done:
	}
}

// notReady is called when the time for becoming ready is over.
func (d *Daemon) notReady() {
	d.mu.Lock()
	silent := d.silentLocked()
	late := d.phase == starting
	d.mu.Unlock()
	if !late {
		return
	}
	d.fail(upgrade.StageReady, notReadyError(d.readyTimeout(), silent))
}

func notReadyError(after time.Duration, silent []string) error {
	switch len(silent) {
	case 0:
		return fmt.Errorf("not ready after %v: the program has not called Ready", after)
	case 1:
		return fmt.Errorf("not ready after %v: group %s is not being accepted on", after, silent[0])
	}
	return fmt.Errorf("not ready after %v: groups %s are not being accepted on", after, strings.Join(silent, ", "))
}

// fail ends a generation that cannot become ready. The previous one has never
// stopped serving.
func (d *Daemon) fail(stage string, err error) {
	d.mu.Lock()
	if d.phase.drains() {
		d.mu.Unlock()
		return
	}
	d.enterLocked(draining)
	d.mu.Unlock()
	d.endFailed(stage, err)
}

// endFailed ends this generation, which has not become the one that serves.
func (d *Daemon) endFailed(stage string, err error) {
	d.mu.Lock()
	d.err = err
	d.mu.Unlock()
	d.now().stopServing()
	d.closeControl()
	d.report.Fail(stage, err)
	d.abandon()
	early.RestoreStderr(false)
	if d.endProcess {
		d.printFailure(stage, err)
		os.Exit(statusFailed)
	}
	d.log.Error("start failed", "stage", stage, "error", err)
	close(d.done)
	d.sayGoodbye()
}

// writeState says in the state file what this generation is.
func (d *Daemon) writeState() error {
	self := d.self()
	d.mu.Lock()
	s := &process.State{
		PID:         self.PID,
		StartTime:   self.StartTime,
		Generation:  d.Generation(),
		Since:       d.since,
		Binary:      d.binary,
		Listen:      d.addressesLocked(),
		Config:      d.conf.File,
		UpgradeWait: process.Duration(d.upgradeWait()),
		StopWait:    process.Duration(d.stopWait()),
		Control:     d.up.Supported(),
	}
	d.mu.Unlock()
	return d.files.WriteState(s)
}

// addressesLocked are the addresses that the groups really have, ports instead
// of port 0.
func (d *Daemon) addressesLocked() map[string]string {
	addrs := make(map[string]string, len(d.order))
	for _, g := range d.order {
		addrs[g.conf.Name] = g.ln.Addr().Network() + " " + g.ln.Addr().String()
	}
	return addrs
}
