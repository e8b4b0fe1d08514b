package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fileSupervisor is the name under which the channel to the supervisor goes from generation to
// generation.
const fileSupervisor = "supervisor"

// fileAnswers is that of the pipe on which the supervisor answers.
const fileAnswers = "supervisor-answers"

// supervisor is what this generation knows of whoever watches it: its supervisor, or somebody who would take the end of this process for
// the daemon's.
type supervisor struct {
	client     *supervise.Client // nil without a supervisor
	generation int
	managed    bool   // the supervisor speaks to systemd
	onTerminal bool   // this process was started on one
	watcher    string // who watches a process that has no supervisor; "" for nobody
	log        *slog.Logger
	stored     func() []supervise.Socket // what systemd is to keep; nil before the groups have sockets
}

// connect finds out whether this process has a supervisor, and has it know that
// signals are handled from now on. managed is what the parent says. conf is nil if it is bad.
func (s *supervisor) connect(up *upgrade.Upgrader, managed bool, conf *config.Config) (err error) {
	s.generation = up.Manifest().Generation
	s.onTerminal = supervise.OnTerminal() && supervise.HasTerminal()
	if f := up.File(fileSupervisor); f != nil {
		s.client, err = supervise.NewClient(f, up.File(fileAnswers))
	} else {
		s.client, err = supervise.Inherited()
	}
	if err != nil || s.client == nil {
		return err
	}
	// The program may have removed the variable since generation 1 has seen it.
	s.managed = managed || os.Getenv("NOTIFY_SOCKET") != ""
	if f := s.client.File(); f != nil {
		up.Pass(fileSupervisor, f)
	}
	if f := s.client.Answers(); f != nil {
		up.Pass(fileAnswers, f)
	}
	if up.Manifest().DryRun {
		return nil // the supervisor expects no generation: this is none, and its parent waits for its end
	}
	ev := supervise.Event{Kind: supervise.Starting}
	if conf != nil {
		ev.Within = conf.Daemon.UpgradeTimeout
	}
	return s.client.Notify(s.signed(ev))
}

// ask refuses to serve where the supervisor does not watch this process, as it is by now. One that does not answer stops no upgrade.
func (s *supervisor) ask(dryRun bool, within time.Duration, log *slog.Logger) error {
	if dryRun {
		return nil
	}
	err := s.client.Ask(s.signed(supervise.Event{}), within)
	if errors.Is(err, supervise.ErrSilent) {
		log.Warn("the supervisor does not answer: as long as it does not, it passes on no signals")
		return nil
	}
	return err
}

// check refuses what this process cannot have. A later generation takes the line as it is.
func (s *supervisor) check(conf *config.Config) error {
	if conf.Daemon.Supervise != config.SuperviseYes || s.client != nil || s.generation > 1 {
		return nil
	}
	return fmt.Errorf("%s: [gozd]: supervise yes: %w", conf.File, errNoSupervisor)
}

// errNoSupervisor is what a program gets that calls New.
var errNoSupervisor = errors.New("only a program that calls Daemonize, on Linux, can have a supervisor")

// begin is called when this generation has its sockets and its log. It warns, once, of what the configuration asks for in vain, and of
// upgrades that will be refused. storing says that the parent's configuration asked for fdstore.
func (s *supervisor) begin(storing bool, conf *config.Config, log *slog.Logger, stored func() []supervise.Socket, endProcess bool) {
	s.log, s.stored = log, stored
	asked := conf.Daemon.FDStore
	if asked && !s.managed && !storing {
		log.Warn("fdstore has no effect: it needs systemd, a unit with Type=notify, and a supervisor")
	}
	if s.client != nil || s.generation > 1 {
		return
	}
	if s.watcher = process.Watcher(); s.watcher != "" {
		s.watcher += "; " + wayOut(endProcess)
		log.Warn("upgrades will be refused", "error", s.refusal())
	}
}

// refusal is why this process is not upgraded; nil if it is. Where somebody would take the end of this process for the daemon's, and there is no
// supervisor in front of it, an upgrade would end the service a moment after it has succeeded: the first generation refuses it.
func (s *supervisor) refusal() error {
	if s.watcher == "" {
		return nil
	}
	return &upgrade.Error{Stage: upgrade.StageRefused, Err: fmt.Errorf("%w: %s", ErrWatched, s.watcher)}
}

func wayOut(endProcess bool) string {
	if endProcess {
		return `remove "supervise no" from the configuration, and start it with -f`
	}
	return "a program that calls New has no supervisor: call Daemonize instead, and start it with -f"
}

// notify says what this generation does.
func (s *supervisor) notify(ev supervise.Event) {
	if s.client == nil {
		return
	}
	if ev.Kind == supervise.Serving || ev.Kind == supervise.Failed {
		ev.Keeps = s.keep() // also after a failure: the successor may have got that far
	}
	if err := s.client.Notify(s.signed(ev)); err != nil {
		s.log.Warn("the supervisor does not hear", "error", err)
	}
}

// notifyDraining says that this generation accepts nothing more, and has been replaced.
func (s *supervisor) notifyDraining(standsBy bool) {
	s.notify(supervise.Event{Kind: supervise.Draining, StandsBy: standsBy})
}

// notifyFailed says that an upgrade has failed, and this generation serves.
func (s *supervisor) notifyFailed(err error) {
	s.notify(supervise.Event{Kind: supervise.Failed, Text: err.Error()})
}

func (s *supervisor) signed(ev supervise.Event) supervise.Event {
	ev.Generation, ev.StartTime = s.generation, startTime()
	return ev
}

// keep has systemd keep this generation's sockets, and no others of the daemon's. It reports whether any are kept; where
// that cannot be changed, what is kept stays so.
func (s *supervisor) keep() bool {
	sockets := s.stored()
	if len(sockets) == 0 {
		return false
	}
	if err := s.client.Keep(s.signed(supervise.Event{}), sockets); err != nil {
		s.log.Warn("systemd is not told which sockets to keep", "error", err)
	}
	return true
}

// awaitEnd ends the daemon when its supervisor is gone, as a stop does: whoever had
// started that would not find the daemon again, and perhaps starts another.
func (s *supervisor) awaitEnd(done <-chan struct{}, stop func()) {
	select {
	case <-s.client.Gone():
		s.log.Error("the supervisor is gone: this generation ends too")
		stop()
	case <-done:
	}
}

// keepAlive says, time and again, that this generation does not hang, if somebody wants that, until it serves no longer. Its phase
// is looked at each time: a lock that can never be had is a hang too.
func (s *supervisor) keepAlive(l *life) {
	interval := s.client.WatchdogInterval()
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 4)
	defer tick.Stop()
	over := l.now().serves.Done()
	for l.is(serving) {
		_ = s.client.Notify(s.signed(supervise.Event{Kind: supervise.Alive})) // the next one may be heard
		select {
		case <-tick.C:
		case <-over: // when it serves again there is another one
			return
		}
	}
}

// lostTerminal reports whether a HUP means that the person's terminal has been closed: this process was started on one, and
// has none any more.
func (s *supervisor) lostTerminal() bool { return s.onTerminal && !supervise.HasTerminal() }
