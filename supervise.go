package gozd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fileSupervisor is the name under which the channel to the supervisor goes from generation to
// generation.
const fileSupervisor = "supervisor"

// runSupervisor is all that a process does that was started to be the supervisor.
func runSupervisor() int {
	return supervise.Run(func(verbose bool) *slog.Logger { return newLogger(os.Stderr, verbose, cfg.LogText) })
}

// maySupervise reports whether this process may become a supervisor: it is none of the generations.
func maySupervise() bool {
	return supervise.Supported && !upgrade.IsSuccessor() && !supervise.IsSupervised()
}

// superviseIfAsked makes this process the supervisor where somebody watches it: then it does not
// return. A configuration with errors is for the generation to report.
func (a *arguments) superviseIfAsked(arg0 string) error {
	if !maySupervise() {
		return nil
	}
	conf, err := (&Daemon{opts: Options{Config: a.config}}).loadConfig()
	if err != nil || !a.isWatched(conf) {
		return nil //nolint:nilerr // see above
	}
	binary, err := absoluteBinary(arg0)
	if err != nil {
		return err
	}
	opts := supervise.Options{Binary: binary, Dir: process.StartDir, Verbose: a.verbose}
	starter, mark := process.Starter()
	if starter != nil {
		opts.Files, opts.Env = append(opts.Files, starter), append(opts.Env, mark)
	}
	sockets, _ := activated() // without an error, or the configuration would have one
	files, env := activation.Pass(sockets, 3+len(opts.Files))
	opts.Files, opts.Env = append(opts.Files, files...), append(opts.Env, env...)
	opts.Stored = storedBefore(sockets)
	err = supervise.Begin(opts)
	if starter != nil {
		report.NewWriter(starter).Fail(upgrade.StageStart, err)
	}
	return err
}

// isWatched reports whether somebody would take the end of this process for the daemon's.
func (a *arguments) isWatched(conf *cfg.Config) bool {
	switch conf.Daemon.Supervise {
	case cfg.SuperviseYes:
		return true
	case cfg.SuperviseNo:
		return false
	case cfg.SuperviseAuto:
	}
	byManager := os.Getpid() == 1 || os.Getenv("NOTIFY_SOCKET") != ""
	return a.foreground && (byManager || Defaults.OnParentExit != nil && a.hasPerson())
}

// hasPerson reports whether a person has this process on a terminal or in a debugger. Then it serves,
// and becomes the supervisor when it has been replaced and has drained. A program that waits for that process's end
// cannot have it so.
func (a *arguments) hasPerson() bool {
	return maySupervise() && a.foreground && (supervise.OnTerminal() || supervise.Traced())
}

// connectSupervisor finds out whether this process has a supervisor, and has it know that
// signals are handled from now on.
func (d *Daemon) connectSupervisor(conf *cfg.Config) (err error) {
	if f := d.up.File(fileSupervisor); f != nil {
		d.super, err = supervise.NewClient(f)
	} else if d.super, err = supervise.Inherited(); err == nil && d.super == nil && d.embed && conf != nil && conf.Daemon.Supervise == cfg.SuperviseAuto {
		d.front, err = supervise.Embed(d.frontLog(), d.ownSignal)
		if err == nil {
			d.super = d.front.Client()
		}
	}
	if err != nil {
		return err
	}
	if d.super == nil {
		return nil
	}
	d.findManager()
	if f := d.super.File(); f != nil {
		d.up.Pass(fileSupervisor, f)
	}
	e := supervise.Event{Kind: supervise.Starting}
	if conf != nil {
		e.Within = conf.Daemon.UpgradeTimeout
	}
	return d.super.Tell(d.signed(e))
}

// checkSupervisor refuses what this process cannot have. A later generation takes the line as it is.
func (d *Daemon) checkSupervisor(conf *cfg.Config) error {
	if conf.Daemon.Supervise != cfg.SuperviseYes || d.super != nil || d.Generation() > 1 {
		return nil
	}
	return fmt.Errorf("%s: [gozd]: supervise yes: %w", conf.File, errNoSupervisor)
}

// errNoSupervisor is what a program gets that calls New.
var errNoSupervisor = errors.New("only a program that calls Daemonize, on Linux, can have a supervisor")

// tell has the supervisor know what this generation does.
func (d *Daemon) tell(e supervise.Event) {
	if d.super == nil {
		return
	}
	if e.Kind == supervise.Serving || e.Kind == supervise.Failed {
		e.Keeps = d.storeSockets() // also after a failure: the successor may have got that far
	}
	if err := d.super.Tell(d.signed(e)); err != nil {
		d.log.Warn("the supervisor does not hear", "error", err)
	}
}

func (d *Daemon) signed(e supervise.Event) supervise.Event {
	e.Generation, e.StartTime = d.Generation(), startTime()
	return e
}

// tellLeaving has the supervisor know why this generation accepts nothing more.
func (d *Daemon) tellLeaving(why reason) {
	if why == replaced {
		d.tell(supervise.Event{Kind: supervise.Draining, StandsBy: d.standsBy()})
		return
	}
	d.tell(supervise.Event{Kind: supervise.Stopping, Within: longest(d.conf, why) + endMargin})
}

// watchSupervisor ends the daemon when its supervisor is gone, as a stop does: whoever had
// started that would not find the daemon again, and perhaps starts another.
func (d *Daemon) watchSupervisor() {
	select {
	case <-d.super.Gone():
		d.log.Error("the supervisor is gone: this generation ends too")
		d.Stop()
	case <-d.done:
	}
}

// keepAlive tells the supervisor, time and again, that this generation does not hang, if
// somebody wants that. It takes the daemon's lock each time: one that can never be had is a hang too.
func (d *Daemon) keepAlive() {
	interval, t := d.super.WatchdogInterval(), d.now()
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 4)
	defer tick.Stop()
	for d.phaseIs(serving) {
		_ = d.super.Tell(d.signed(supervise.Event{Kind: supervise.Alive})) // the next one may be heard
		select {
		case <-tick.C:
		case <-t.serves.Done(): // when it serves again there is another one
			return
		}
	}
}

// frontLog is the log of a supervisor that is generation 1, too. It is made before that one's own.
func (d *Daemon) frontLog() *slog.Logger {
	log := d.opts.Logger
	if log == nil {
		log = newLogger(os.Stderr, d.opts.Verbose, cfg.LogText)
	}
	return log.With("supervisor", os.Getpid())
}

// passToFront reports whether a signal was for the daemon, and not for this old generation alone: this is the
// process that whoever has started the daemon knows.
func (d *Daemon) passToFront(sig os.Signal) bool {
	d.mu.Lock()
	isOld := d.phase == leaving && d.successor != 0
	d.mu.Unlock()
	n, ok := sig.(syscall.Signal)
	if d.front == nil || !isOld || !ok {
		return false
	}
	d.front.Signal(n)
	return true
}

// ownSignal does what a newer generation asks this one to do, which is the supervisor, too.
func (d *Daemon) ownSignal(sig syscall.Signal) {
	d.mu.Lock()
	over := d.retired && sig != sigReopen
	d.mu.Unlock()
	if !over {
		d.act(sig)
	}
}

// frontIsGeneration reports whether the supervisor is the first generation: then a person has started the daemon.
func (d *Daemon) frontIsGeneration() bool {
	front := d.super.PID()
	return front != 0 && (front == os.Getpid() || slices.ContainsFunc(d.up.Manifest().Ancestors, func(a upgrade.Ancestor) bool { return a.PID == front }))
}

// lostTerminal reports whether a HUP means that the person's terminal has been closed.
func (d *Daemon) lostTerminal() bool {
	return d.frontIsGeneration() && d.onTerminal && !supervise.HasTerminal()
}

// signalFront has the supervisor know what it is to do as a generation, and reports whether a is that.
func (d *Daemon) signalFront(a upgrade.Ancestor, sig os.Signal) bool {
	n, ok := sig.(syscall.Signal)
	if a.PID != d.super.PID() || !ok {
		return false
	}
	d.tell(supervise.Event{Kind: supervise.Hurry, Signal: int(n)})
	return true
}

// awaitLast waits until the last generation has ended, in a process that somebody takes for the daemon.
func (d *Daemon) awaitLast() {
	if d.front == nil {
		return
	}
	d.log.Info("drained: this process stays in front of the others")
	d.mu.Lock()
	d.retired = true
	d.mu.Unlock()
	status := d.front.Drained()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.exitStatus = status
	if status != 0 {
		d.err = fmt.Errorf("the last generation has ended with status %d", status)
	}
}

// Status is what the program should end with after Exit: 0, but where this process
// has stayed in front of others on a terminal, and the last of them has ended with another status. A process that
// still runs two seconds after Exit was closed is then ended with it.
func (d *Daemon) Status() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.exitStatus
}
