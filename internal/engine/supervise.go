package engine

import (
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// fileSupervisor is the name under which the channel to the supervisor goes from generation to
// generation.
const fileSupervisor = "supervisor"

// connectSupervisor finds out whether this process has a supervisor, and has it know that
// signals are handled from now on.
func (e *Engine) connectSupervisor(conf *config.Config) (err error) {
	if f := e.up.File(fileSupervisor); f != nil {
		e.super, err = supervise.NewClient(f)
	} else {
		e.super, err = supervise.Inherited()
	}
	if err != nil {
		return err
	}
	if e.super == nil {
		return nil
	}
	e.findManager()
	if f := e.super.File(); f != nil {
		e.up.Pass(fileSupervisor, f)
	}
	ev := supervise.Event{Kind: supervise.Starting}
	if conf != nil {
		ev.Within = conf.Daemon.UpgradeTimeout
	}
	return e.super.Tell(e.signed(ev))
}

// checkSupervisor refuses what this process cannot have. A later generation takes the line as it is.
func (e *Engine) checkSupervisor(conf *config.Config) error {
	if conf.Daemon.Supervise != config.SuperviseYes || e.super != nil || e.Generation() > 1 {
		return nil
	}
	return fmt.Errorf("%s: [gozd]: supervise yes: %w", conf.File, errNoSupervisor)
}

// errNoSupervisor is what a program gets that calls New.
var errNoSupervisor = errors.New("only a program that calls Daemonize, on Linux, can have a supervisor")

// notifySupervisor says what this generation does.
func (e *Engine) notifySupervisor(ev supervise.Event) {
	if e.super == nil {
		return
	}
	if ev.Kind == supervise.Serving || ev.Kind == supervise.Failed {
		ev.Keeps = e.storeSockets() // also after a failure: the successor may have got that far
	}
	if err := e.super.Tell(e.signed(ev)); err != nil {
		e.log.Warn("the supervisor does not hear", "error", err)
	}
}

func (e *Engine) signed(ev supervise.Event) supervise.Event {
	ev.Generation, ev.StartTime = e.Generation(), startTime()
	return ev
}

// notifyDraining tells the supervisor why this generation accepts nothing more.
func (e *Engine) notifyDraining(why reason) {
	if why == replaced {
		e.notifySupervisor(supervise.Event{Kind: supervise.Draining, StandsBy: e.standsBy()})
		return
	}
	e.notifySupervisor(supervise.Event{Kind: supervise.Stopping, Within: longest(e.conf, why) + endMargin})
}

// watchSupervisor ends the daemon when its supervisor is gone, as a stop does: whoever had
// started that would not find the daemon again, and perhaps starts another.
func (e *Engine) watchSupervisor() {
	select {
	case <-e.super.Gone():
		e.log.Error("the supervisor is gone: this generation ends too")
		e.Stop()
	case <-e.done:
	}
}

// keepAlive tells the supervisor, time and again, that this generation does not hang, if
// somebody wants that. It takes the daemon's lock each time: one that can never be had is a hang too.
func (e *Engine) keepAlive() {
	interval, t := e.super.WatchdogInterval(), e.now()
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 4)
	defer tick.Stop()
	for e.phaseIs(serving) {
		_ = e.super.Tell(e.signed(supervise.Event{Kind: supervise.Alive})) // the next one may be heard
		select {
		case <-tick.C:
		case <-t.serves.Done(): // when it serves again there is another one
			return
		}
	}
}

// lostTerminal reports whether a HUP means that the person's terminal has been closed: this process was started on one, and
// has none any more.
func (e *Engine) lostTerminal() bool { return e.onTerminal && !supervise.HasTerminal() }
