package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/envfile"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/host"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/totals"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// The names under which the memory of counters passes on: gozd's own, and the program's of generations that have ended.
const (
	fileTotals = "totals"
	fileLedger = "ledger"
)

// startup is what the start leaves.
type startup struct {
	inherited inheritance // from the parent
	self      peers.Peer  // this process, as its successors know it
	ancestors ancestors
	binary    string            // absolute
	runs      fs.FileInfo       // the file of that path when this process began; nil if there was none
	report    *report.Writer    // to whoever started this process; may be nil
	shadowed  map[string][]byte // what env_file has replaced in the environment
	undo      []func(*Engine)   // what has been done; see abandon
	counting  counting

	readyWithin time.Duration // as long as its parent waits for this process, or as its own configuration says
	deadline    *time.Timer   // for that
}

// start is what has to be done before the program can take its groups.
type start struct {
	*Engine
	conf    *config.Config // nil while it is bad
	confErr error
	parent  upgrade.Manifest
}

// startSteps are the steps of a start, in their order.
var startSteps = []step[*start]{
	{
		name: "remember when this process began", stage: upgrade.StageStart,
		why: "later there may be no descriptor to read it with",
		do:  func(*start) error { startTime(); return nil },
	},
	{
		name: "read the configuration", stage: upgrade.StageStart,
		why: "it has the time limits for what follows; errors in it are reported in a later step, when the parent listens",
		do: func(s *start) error {
			s.conf, s.confErr = groups.LoadConfig(s.hooks.Config, nil, s.hooks.TLS != nil)
			return nil
		},
	},
	{
		name: "read the parent's message", stage: upgrade.StageStart,
		do: (*start).connect,
	},
	{
		name: "notify the supervisor that this process handles signals", stage: upgrade.StageStart,
		do:   func(s *start) error { return s.super.connect(s.up, s.inherited.Managed, s.conf) },
		undo: func(e *Engine) { e.super.client.Close() },
	},
	{
		name: "find the binary", stage: upgrade.StageStart,
		why: "from here on the parent learns of an error: the binary may be gone",
		do:  (*start).findBinary,
	},
	{
		name: "read the configuration again, and put env_file into the environment", stage: upgrade.StageConfiguration,
		why:  "it was read in the environment of the parent's env_file, and without knowing the inherited sockets",
		do:   (*start).configure,
		undo: func(e *Engine) { envfile.Restore(e.shadowed) },
	},
	{
		name: "make files and directories for the configured user", stage: upgrade.StageStart,
		do: func(s *start) error {
			process.SetUmask(s.conf.Daemon.Umask)
			return host.MakeFiles(s.conf)
		},
	},
	{
		name: "take the lock", stage: upgrade.StageStart,
		why:  "before anything that two instances would share, such as the log and the sockets",
		do:   (*start).takeFiles,
		undo: func(e *Engine) { e.files.Abandon() },
	},
	{
		name: "open the log", stage: upgrade.StageStart,
		do: (*start).openLog,
	},
	{
		name: "set the limit of descriptors", stage: upgrade.StageStart,
		do: func(s *start) error { return process.SetMaxFiles(s.conf.Daemon.MaxFiles) },
	},
	{
		name: "give each group its socket", stage: upgrade.StageListen,
		do:   (*start).claim,
		undo: func(e *Engine) { e.groups.Abandon() },
	},
	{
		name: "prepare to take connections from older generations", stage: upgrade.StageStart,
		do: func(s *start) (err error) {
			s.conns.receiver, err = handover.NewReceiver(s.groups.Taker())
			return err
		},
	},
	{
		name: "become the configured user", stage: upgrade.StageStart,
		why: "the sockets are bound, and the files made",
		do:  (*start).become,
	},
	{
		name: "ask whether the supervisor watches this process", stage: upgrade.StageStart,
		why: "it may not see a process of that user: it would pass no signals on, and take the end of the one before for the daemon's",
		do:  func(s *start) error { return s.super.ask(s.parent.DryRun, s.readyWithin, s.log) },
	},
	{
		name: "begin to wait for the program", stage: upgrade.StageStart,
		do: func(s *start) error {
			s.deadline = time.NewTimer(s.readyWithin)
			return nil
		},
		undo: func(e *Engine) { e.deadline.Stop() },
	},
}

// startTime is this process's own. An error leaves 0, which is a valid answer:
// unknown.
var startTime = sync.OnceValue(func() uint64 {
	start, _ := process.StartTime(os.Getpid())
	return start
})

// do makes all the steps. On an error it returns the stage, too.
func (s *start) do() (stage string, err error) {
	fault.At(fault.AfterFork)
	return run(s, startSteps, func(undo func(*Engine)) { s.undo = append(s.undo, undo) })
}

// abandon undoes what has been done of a start, in a generation that does not become one that serves.
func (s *startup) abandon(e *Engine) {
	for _, undo := range slices.Backward(s.undo) {
		undo(e)
	}
	s.undo = nil
}

// connect finds out who started this process.
func (s *start) connect() (err error) {
	opts := upgrade.Options{StandBy: s.hooks.canResume()}
	if s.conf != nil {
		opts.Timeout = s.conf.Daemon.UpgradeTimeout
		opts.Probation, opts.Verdict = s.conf.Daemon.Probation, verdictTime(s.conf)
	}
	s.report = process.Detached()
	s.up, err = upgrade.New(opts)
	if s.up != nil && s.up.Report() != nil {
		s.report = s.up.Report() // also beside an error: the parent's message may be of another version
	}
	if err != nil {
		return err
	}
	s.parent = s.up.Manifest()
	if s.inherited, err = readInheritance(s.parent); err != nil {
		return err
	}
	s.life.history.failures = s.inherited.History.Failed
	return nil
}

func (s *start) findBinary() (err error) {
	args := process.Arguments()
	if args[0], err = process.FindBinary(args[0]); err != nil {
		return err
	}
	s.binary = args[0]
	s.runs, _ = os.Stat(s.binary) // without it nobody learns that another one is there
	s.up.SetArguments(args)
	fault.At(fault.Configuration)
	return nil
}

// configure begins with the environment that the first generation was started with: what the parent had from its env_file goes, and
// may have been in the configuration, as its default PID file.
func (s *start) configure() (err error) {
	envfile.Restore(s.inherited.Shadowed)
	if len(s.inherited.Shadowed) > 0 || s.Generation() > 1 && groups.DependsOnParent(s.conf, &s.parent) {
		s.conf, s.confErr = groups.LoadConfig(s.hooks.Config, &s.parent, s.hooks.TLS != nil)
	}
	if s.confErr != nil {
		return s.confErr
	}
	if err := check.Available(s.conf); err != nil {
		return err
	}
	if s.Generation() > 1 {
		if err := check.SameUser(s.conf); err != nil {
			return err
		}
	}
	if err := s.super.check(s.conf); err != nil {
		return err
	}
	vars, err := check.EnvFile(s.conf)
	if err != nil {
		return err
	}
	if s.shadowed, err = envfile.Apply(vars); err != nil {
		return err
	}
	s.Engine.conf, s.hooks.limit = s.conf, s.conf.Daemon.UpgradeTimeout
	s.readyWithin = cmp.Or(max(s.parent.Timeout, 0), s.conf.Daemon.UpgradeTimeout)
	s.self = peers.Peer{Generation: s.parent.Generation, PID: os.Getpid(), StartTime: startTime(), PIDFile: s.conf.Daemon.PIDFile}
	s.report.Locate(s.conf.Daemon.PIDFile)
	return nil
}

func (s *start) takeFiles() error {
	s.files = files{up: s.up, pidfile: s.PIDFile(), state: s.state, fds: &s.fds, restoring: make(chan struct{}, 1)}
	err := s.files.take(s.conf, s.inherited.PIDFile)
	if s.Generation() == 1 { // a later one has come by such an upgrade
		err = adviseReload(err)
	}
	return err
}

// adviseReload says what a start can do instead, where a daemon serves: one that only ends cannot be upgraded.
func adviseReload(err error) error {
	if running := (*process.RunningError)(nil); errors.As(err, &running) && running.PID != 0 {
		return fmt.Errorf("%w: -s reload upgrades it", err)
	}
	return err
}

func (s *start) openLog() error {
	if err := host.OpenLog(s.conf); err != nil {
		return err
	}
	s.setLogger(s.conf.Daemon.LogFormat)
	s.files.log = s.log
	s.files.logfile.path, s.files.logfile.onReopen, s.files.logfile.log = s.conf.Daemon.Log, s.hooks.OnReopen, s.log
	return nil
}

func (s *start) claim() (err error) {
	fault.At(fault.Listen)
	counters := totals.Open(s.up.File(fileTotals))
	s.counting = counting{ledger: totals.OpenLedger(s.up.File(fileLedger)), known: make(map[totals.Process]string)}
	for name, f := range map[string]*os.File{fileTotals: counters.File(), fileLedger: s.counting.ledger.File()} {
		if f != nil {
			s.up.Pass(name, f)
		}
	}
	s.groups, err = groups.Claim(groups.Options{
		Conf: s.conf, Parent: &s.parent, Tickets: s.inherited.Tickets, Sockets: s.up, Totals: counters, Log: s.log, TLS: s.hooks.TLS, Managed: s.super.managed,
		Gate: s.gate.Done(), Release: s.exit.release.Done(), Accepting: s.accepting,
	})
	if err != nil {
		return err
	}
	s.ancestors = ancestors{
		all: s.inherited.Ancestors, supervisor: s.super.client.PID(),
		limit: s.conf.Daemon.MaxGenerations, wait: stopWait(s.conf), log: s.log,
	}
	s.super.begin(s.inherited.Storing, s.conf, s.log, s.groups.Stored, s.exit.endProcess)
	s.fds.groups, s.fds.life = s.groups, s.life
	s.control.daemon, s.control.pidfile, s.control.fds, s.control.log = controlled{s.Engine}, s.PIDFile(), &s.fds, s.log
	s.control.over = !s.up.Supported()
	s.signals.life, s.signals.log = s.life, s.log
	s.drains = drainer{self: s.self, conf: s.conf, groups: s.groups, hooks: &s.hooks, life: s.life, log: s.log}
	return nil
}

// accepting is called when another group is being accepted on; with the last one the
// process is ready.
func (s *start) accepting() {
	if !s.hooks.ManualReady && len(s.groups.NotAccepting()) == 0 {
		_ = s.markReady() // it ends this generation
	}
}

func (s *start) become() error {
	became, err := host.Become(s.conf, s.log)
	if became && err == nil && s.Generation() == 1 {
		host.WarnOfNext(s.conf, s.log)
	}
	return err
}
