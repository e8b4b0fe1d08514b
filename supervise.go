package gozd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fileSupervisor is the name under which the channel to the supervisor goes from generation to
// generation.
const fileSupervisor = "supervisor"

// wantsSupervisor reports whether this process is to be the supervisor: somebody may watch it who would take its end for the
// daemon's, as systemd, a container and a shell do, and it is none of the generations. A configuration with errors is for the
// generation to report.
func (a *arguments) wantsSupervisor() (conf *cfg.Config, yes bool) {
	if !supervise.Supported || upgrade.IsSuccessor() || supervise.IsSupervised() {
		return nil, false
	}
	conf, err := (&Daemon{opts: Options{Config: a.config}}).loadConfig()
	if err != nil {
		return nil, false
	}
	mode := conf.Daemon.Supervise
	return conf, mode == cfg.SuperviseYes || mode == cfg.SuperviseAuto && a.foreground
}

// supervise makes this process the supervisor, and returns with what status it is to end.
func (a *arguments) supervise(arg0 string, conf *cfg.Config) (status int, err error) {
	binary, err := absoluteBinary(arg0)
	if err != nil {
		return statusFailed, err
	}
	opts := supervise.Options{
		Binary: binary, Args: process.Arguments()[1:], Dir: process.StartDir,
		Log: newLogger(os.Stderr, a.verbose, cfg.LogText),
	}
	if id, err := check.Identity(conf); err == nil && id != nil { // an error is for the generation to report
		opts.User = &supervise.User{UID: id.UID, GID: id.GID}
	}
	starter, mark := process.Starter()
	stderr := process.StarterStderr()
	if starter != nil {
		opts.Files, opts.Env = append(opts.Files, starter), append(opts.Env, mark)
		if stderr != nil {
			opts.Files = append(opts.Files, stderr)
		}
	}
	early.RestoreStderr(true) // from now on it is generation 1 that is waited for
	sockets, _ := activated() // without an error, or the configuration would have one
	files, env := activation.Pass(sockets, 3+len(opts.Files))
	opts.Files, opts.Env = append(opts.Files, files...), append(opts.Env, env...)
	opts.Stored = storedBefore(sockets)
	opts.Started = func() {
		activation.Close(sockets)
		if starter != nil {
			_, _ = starter.Close(), stderr.Close() // nil has it return an error
		}
	}
	status, err = supervise.Run(opts)
	if err != nil && starter != nil {
		report.NewWriter(starter).Fail(upgrade.StageStart, err)
	}
	return status, err
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

// notifySupervisor says what this generation does.
func (d *Daemon) notifySupervisor(e supervise.Event) {
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

// notifyDraining tells the supervisor why this generation accepts nothing more.
func (d *Daemon) notifyDraining(why reason) {
	if why == replaced {
		d.notifySupervisor(supervise.Event{Kind: supervise.Draining, StandsBy: d.standsBy()})
		return
	}
	d.notifySupervisor(supervise.Event{Kind: supervise.Stopping, Within: longest(d.conf, why) + endMargin})
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

// lostTerminal reports whether a HUP means that the person's terminal has been closed: this process was started on one, and
// has none any more.
func (d *Daemon) lostTerminal() bool { return d.onTerminal && !supervise.HasTerminal() }
