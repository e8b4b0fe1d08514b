package engine

import (
	"fmt"
	"os"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Ready says that the program has warmed up.
func (e *Engine) Ready() error {
	if !e.hooks.ManualReady {
		return nil
	}
	return e.markReady()
}

// markReady is called when the program can serve: now it does, beside its parent if
// it is on probation. A generation that cannot become ready ends: its parent has never stopped serving.
func (e *Engine) markReady() error {
	if e.up.Manifest().DryRun {
		dryRun{e}.end()
		return nil
	}
	p := probation{e}
	lasts := p.lasts()
	if lasts <= 0 {
		err := e.becomeReady()
		if err != nil {
			if _, failed := e.life.on(startFailed); failed {
				e.endFailed(upgrade.StageReady, err)
			}
		}
		return err
	}
	if e.life.beginProbation(lasts) {
		e.deadline.Stop()
		e.signals.watch(sigRollback, e.act)
		go p.pass(lasts)
	}
	return nil
}

// readySteps make this process the one that serves, in their order. The parent is told when nothing can fail any more; what follows is said,
// and tried again where that helps.
var readySteps = []step[*Engine]{
	{
		name: "write the PID file", stage: upgrade.StageReady,
		why: "it names this process before anybody learns of it",
		do: func(e *Engine) error {
			fault.At(fault.BeforeReady)
			return e.files.WritePID()
		},
	},
	{
		name: "take connections from older generations",
		do: func(e *Engine) error {
			if err := e.conns.receive(e.up); err != nil { // without them this generation serves all the same
				e.log.Warn("connections of the previous generation stay there", "error", err)
			}
			return nil
		},
	},
	{
		name: "let clients connect to new sockets", stage: upgrade.StageReady,
		why: "last of what can fail: a failure after it would reset the clients in their queues",
		do: func(e *Engine) error {
			fault.At(fault.PIDWritten)
			return e.groups.Listen()
		},
	},
	{
		name: "notify the supervisor",
		why:  "from now on a signal to the parent would come too late",
		do: func(e *Engine) error {
			e.super.notify(supervise.Event{Kind: supervise.Serving, Settles: true})
			return nil
		},
	},
	{
		name: "notify the parent",
		why:  "the parent stops accepting, and waits no longer",
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
		why:  "a reader then finds a generation that serves, with all of its files",
		do: func(e *Engine) error {
			if !e.files.writeFirstState() { // this process serves, and its parent goes: it is too late to fail
				e.files.keepWriting(e.done.Done(), &e.attempts.slot, e.life)
			}
			return nil
		},
	},
	{
		name: "notify the supervisor that the files are written",
		why:  "this ends a reload by systemd",
		do: func(e *Engine) error {
			e.super.notify(supervise.Event{Kind: supervise.Settled})
			return nil
		},
	},
	{
		name: "reopen the log, if it was moved meanwhile",
		why:  "whoever moves it after this asks this process to reopen it",
		do: func(e *Engine) error {
			if e.files.logfile.isMoved() {
				go func() { _ = e.reopen() }() // as if it had been asked: the program may have files of its own
			}
			return nil
		},
	},
	{
		name: "report to whoever started this process",
		why:  "everything that the starter may look for is there",
		do:   func(e *Engine) error { e.report.Ready(e.up.Kept()); return nil },
	},
	{
		name: "release what the parent had and this generation has not",
		do: func(e *Engine) error {
			next, err := payload(e, []peers.Peer{e.self}, earlierUpgrades{})
			if err == nil {
				err = e.up.Check(next)
			}
			if err != nil {
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
		},
	},
	{
		name: "watch",
		do: func(e *Engine) error {
			e.hooks.watchParent(func() bool { return e.ancestors.awaitParent(e.up.ParentExited(), e.done.Done()) })
			go e.super.keepAlive(e.life)
			warnOfIgnored(e.log)
			e.log.Info("serving", "binary", e.binary, "groups", strings.Join(e.groups.Names(), " "))
			return nil
		},
	},
}

// becomeReady makes this process the one that serves. It does nothing when called again.
func (e *Engine) becomeReady() error {
	if !e.life.beginServing(e.inherited.History.Asked) {
		return nil
	}
	e.deadline.Stop()
	defer e.begun.happen() // a stop that comes meanwhile removes these files after they are written
	_, err := run(e, readySteps, nil)
	if err != nil {
		e.life.now().stopServing(nil) // before anything begins that waits for begun
	}
	return err
}

// openGate has Accept begin.
func (e *Engine) openGate() {
	select {
	case <-e.gate.Done(): // by the probation
	default:
		e.fds.fill() // before the first client comes
		e.gate.happen()
		e.control.open(e.life.now().serves) // before the state file, whose readers look for it
	}
}

// awaitReady ends this process when it is not ready in time. It says why when its parent waits no longer, whose clock is the one that
// counts: what this process did before it had one of its own is no reason to be killed without a word.
func (e *Engine) awaitReady() {
	select {
	case <-e.up.Late():
	case <-e.deadline.C:
	case <-e.begun.Done():
		return
	case <-e.done.Done():
		return
	}
	if _, late := e.life.on(readyTimedOut); late {
		e.endFailed(upgrade.StageReady, notReadyError(e.readyWithin, e.groups.NotAccepting()))
	}
}

func notReadyError(after time.Duration, notAccepted []string) error {
	switch len(notAccepted) {
	case 0:
		return fmt.Errorf("not ready after %v: the program has not called Ready", after)
	case 1:
		return fmt.Errorf("not ready after %v: group %s is not being accepted on", after, notAccepted[0])
	}
	return fmt.Errorf("not ready after %v: groups %s are not being accepted on", after, strings.Join(notAccepted, ", "))
}

// endFailed ends this generation, which has not become the one that serves, or was started for a dry run.
func (e *Engine) endFailed(stage string, err error) {
	e.life.fail(err)
	e.life.now().stopServing(nil)
	e.control.close()
	e.report.Fail(stage, err)
	e.abandon(e)
	early.RestoreStderr(false)
	isDryRun := stage == upgrade.StageDryRun // which has not failed
	switch {
	case isDryRun && e.exit.endProcess:
		os.Exit(0)
	case e.exit.endProcess:
		if stage != upgrade.StageProbation { // which has said so
			e.printFailure(stage, err)
		}
		os.Exit(1)
	case !isDryRun:
		e.log.Error("start failed", "stage", stage, "error", err)
	}
	e.done.happen()
	e.exit.ask(e.life.replacedBy() != nil, &e.signals)
}
