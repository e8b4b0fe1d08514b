package gozd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
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
	return supervise.Run(func(verbose bool) *slog.Logger { return newLogger(os.Stderr, verbose) })
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
	return a.foreground && (os.Getpid() == 1 || os.Getenv("NOTIFY_SOCKET") != "")
}

// connectSupervisor finds out whether this process has a supervisor, and has it know that
// signals are handled from now on.
func (d *Daemon) connectSupervisor(conf *cfg.Config) (err error) {
	if f := d.up.File(fileSupervisor); f != nil {
		d.super, err = supervise.NewClient(f)
	} else {
		d.super, err = supervise.Inherited()
	}
	if err != nil {
		return err
	}
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
		d.tell(supervise.Event{Kind: supervise.Draining})
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

// keepAlive has the supervisor know, time and again, that this generation is not hanging, if
// somebody wants that. It takes the daemon's lock each time: one that can never be had is a hang too.
func (d *Daemon) keepAlive() {
	interval := d.super.WatchdogInterval()
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 4)
	defer tick.Stop()
	for d.phaseIs(serving) {
		_ = d.super.Tell(d.signed(supervise.Event{Kind: supervise.Alive})) // the next one may be heard
		select {
		case <-tick.C:
		case <-d.done:
		}
	}
}

// passOnLate passes a signal on that the supervisor has sent to this generation while it was being
// replaced. It reports false if there is no supervisor: who sends signals to an old generation then,
// has read its PID long ago.
func (d *Daemon) passOnLate(sig os.Signal) bool {
	d.mu.Lock()
	pid := d.successor
	d.mu.Unlock()
	if d.super == nil || pid == 0 {
		return false
	}
	d.signalSuccessor(pid, sig)
	return true
}
