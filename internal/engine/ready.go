package engine

import (
	"fmt"
	"os"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Ready says that the program has warmed up.
func (e *Engine) Ready() error {
	if !e.opts.ManualReady {
		return nil
	}
	err := e.warm()
	if err != nil {
		e.fail(upgrade.StageReady, err)
	}
	return err
}

// warm is called when the program can serve: now it does, beside its predecessor if
// it is on probation.
func (e *Engine) warm() error {
	lasts := e.probation()
	if lasts <= 0 {
		return e.becomeReady()
	}
	if e.life.beginProbation(lasts) {
		e.deadline.Stop()
		e.signals.watch(sigRollback, e.act)
		go e.passProbation(lasts)
	}
	return nil
}

// readyTimeout is how long this process may take: as long as its predecessor
// waits for it, or as its own configuration says.
func (e *Engine) readyTimeout() time.Duration {
	if t := e.up.Manifest().Timeout; t > 0 {
		return t
	}
	return e.conf.Daemon.UpgradeTimeout
}

// accepting is called when another group is being accepted on; with the last one the
// process is ready.
func (e *Engine) accepting() {
	if e.opts.ManualReady || len(e.groups.Silent()) > 0 {
		return
	}
	if err := e.warm(); err != nil {
		e.fail(upgrade.StageReady, err)
	}
}

// readySteps make this process the one that serves, in their order. The parent is told when nothing can fail any more; what follows is said,
// and tried again where that helps.
var readySteps = []step[*Engine]{
	{
		name: "write the PID file", stage: upgrade.StageReady,
		why: "it names this process before anybody is told",
		do: func(e *Engine) error {
			fault.At(fault.BeforeReady)
			return e.files.WritePID()
		},
	},
	{
		name: "take connections from older generations",
		do:   (*Engine).receiveConnections,
	},
	{
		name: "let clients connect to new sockets", stage: upgrade.StageReady,
		why: "the last that can fail: those in their queues would be reset",
		do: func(e *Engine) error {
			fault.At(fault.PIDWritten)
			return e.groups.Listen()
		},
	},
	{
		name: "tell the supervisor",
		why:  "signals to the parent would come too late from now on",
		do: func(e *Engine) error {
			e.super.notify(supervise.Event{Kind: supervise.Serving, Settles: true})
			return nil
		},
	},
	{
		name: "tell the parent",
		why:  "it stops to accept, and waits no longer",
		do: func(e *Engine) error {
			e.up.Ready()
			fault.At(fault.TookOver)
			return nil
		},
	},
	{
		name: "accept",
		do:   func(e *Engine) error { e.openGate(); return nil },
	},
	{
		name: "write the state file",
		why:  "whoever reads it finds a generation that serves, and all of its files",
		do:   (*Engine).writeFirstState,
	},
	{
		name: "tell the supervisor that everybody can know",
		why:  "a reload by systemd is over then",
		do: func(e *Engine) error {
			e.super.notify(supervise.Event{Kind: supervise.Settled})
			return nil
		},
	},
	{
		name: "reopen the log, if it was moved meanwhile",
		why:  "whoever moves it from now on asks this process",
		do:   func(e *Engine) error { e.followLog(); return nil },
	},
	{
		name: "say so to whoever has started this process",
		why:  "everything that it may ask for is there",
		do:   func(e *Engine) error { e.report.Ready(e.up.Kept()); return nil },
	},
	{
		name: "let go of what the parent had, and this generation has not",
		do:   (*Engine).tidyAfterParent,
	},
	{
		name: "watch",
		do: func(e *Engine) error {
			e.watchParent()
			go e.keepAlive()
			e.warnOfIgnored()
			e.log.Info("serving", "binary", e.binary, "groups", strings.Join(e.groups.Names(), " "))
			return nil
		},
	},
}

// becomeReady makes this process the one that serves. It does nothing when called again.
func (e *Engine) becomeReady() error {
	if !e.life.beginServing(e.up.Manifest().History.Asked) {
		return nil
	}
	e.deadline.Stop()
	defer e.settled.happen() // a stop that comes meanwhile removes these files after they are written
	_, err := run(e, readySteps, nil)
	return err
}

// receiveConnections begins to take connections from the older generations. Without them this one serves all the same.
func (e *Engine) receiveConnections() error {
	if err := e.conns.receive(e.up); err != nil {
		e.log.Warn("connections of the previous generation stay there", "error", err)
	}
	return nil
}

// writeFirstState writes the state file. This process serves, and the previous generation goes: it is too late to fail.
func (e *Engine) writeFirstState() error {
	if err := e.saveState(); err != nil {
		e.log.Error("state file not written", "error", err)
		e.keepWriting()
	}
	return nil
}

// openGate has Accept begin.
func (e *Engine) openGate() {
	select {
	case <-e.gate.Done(): // by the probation
	default:
		e.reserveFDs() // before the first client comes
		e.gate.happen()
		go e.openControl() // nobody waits for it
	}
}

// tidyAfterParent removes what the previous generation's configuration had and this one's has not.
func (e *Engine) tidyAfterParent() error {
	if err := e.up.Check([]peers.Peer{e.self()}); err != nil {
		e.log.Warn("upgrades will fail", "error", err)
	}
	if f := e.up.File(fileReturn); f != nil {
		_ = f.Close() // nothing goes back any more
	}
	e.groups.RemoveParents()
	if err := e.files.RemoveFormer(); err != nil {
		e.log.Warn("old PID file not removed", "error", err)
	}
	return nil
}

// awaitReady ends this process when it is not ready in time. It says why when its parent waits no longer, whose clock is the one that
// counts: what this process did before it had one of its own is no reason to be killed without a word.
func (e *Engine) awaitReady() {
	select {
	case <-e.up.Late():
		e.notReady()
	case <-e.deadline.C:
		e.notReady()
	case <-e.settled.Done():
	case <-e.done.Done():
	}
}

// notReady is called when the time for becoming ready is over.
func (e *Engine) notReady() {
	if _, late := e.life.on(readyTimedOut); late {
		e.endFailed(upgrade.StageReady, notReadyError(e.readyTimeout(), e.groups.Silent()))
	}
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
func (e *Engine) fail(stage string, err error) {
	if _, failed := e.life.on(startFailed); failed {
		e.endFailed(stage, err)
	}
}

// endFailed ends this generation, which has not become the one that serves.
func (e *Engine) endFailed(stage string, err error) {
	e.life.fail(err)
	e.life.now().stopServing()
	e.closeControl()
	e.report.Fail(stage, err)
	e.abandon()
	early.RestoreStderr(false)
	if e.endProcess {
		e.printFailure(stage, err)
		os.Exit(1)
	}
	e.log.Error("start failed", "stage", stage, "error", err)
	e.done.happen()
	e.sayGoodbye()
}

// writeState says in the state file what this generation is.
func (e *Engine) writeState() error {
	self := e.self()
	s := &process.State{
		PID:         self.PID,
		StartTime:   self.StartTime,
		Generation:  e.Generation(),
		Since:       e.life.servesSince(),
		Binary:      e.binary,
		Listen:      e.groups.Addresses(),
		Config:      e.conf.File,
		UpgradeWait: process.Duration(e.upgradeWait()),
		StopWait:    process.Duration(e.stopWait()),
		Control:     e.up.Supported(),
	}
	return e.files.WriteState(s)
}
