package engine

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/envfile"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fileLock is the name under which the lock's descriptor goes from generation to
// generation.
const fileLock = "lock"

// start does all that has to be done before the program can take its groups. On
// an error it returns the stage too.
func (e *Engine) start() (stage string, err error) {
	fault.At(fault.AfterFork)
	startTime() // later there may be no descriptor for it, and it would be unknown for good
	// The configuration has the time limit for upgrades, which tableflip wants
	// to know first; what is wrong with it is told afterwards, when there is
	// somebody to tell.
	successor := upgrade.IsSuccessor()
	conf, confErr := groups.LoadConfig(e.opts.Config, nil)
	if stage, err = e.connect(conf); err != nil {
		return stage, err
	}
	args := process.Arguments()
	if args[0], err = process.FindBinary(args[0]); err != nil { // as late as there is somebody to tell
		return upgrade.StageStart, err
	}
	e.binary = args[0]
	e.up.SetArguments(args)
	fault.At(fault.Configuration)
	parent := e.up.Manifest()
	if e.restoreEnvironment() || successor && groups.DependsOnParent(conf, &parent) {
		conf, confErr = groups.LoadConfig(e.opts.Config, &parent)
	}
	if confErr == nil {
		confErr = check.Available(conf)
	}
	if confErr == nil {
		confErr = e.super.check(conf)
	}
	if confErr == nil {
		confErr = e.setEnvironment(conf)
	}
	if confErr != nil {
		return upgrade.StageConfiguration, confErr
	}
	e.conf = conf
	if err := e.prepareProcess(); err != nil {
		return upgrade.StageStart, err
	}
	fault.At(fault.Listen)
	if e.groups, err = groups.Claim(groups.Options{
		Conf: conf, Parent: &parent, Sockets: e.up, Log: e.log, Managed: e.super.managed,
		Gate: e.gate, Release: e.release, Accepting: e.accepting,
	}); err != nil {
		return upgrade.StageListen, err
	}
	e.super.begin(e.up, conf, e.log, e.groups.Stored, e.endProcess)
	if e.conns.receiver, err = handover.NewReceiver(e.groups.Taker()); err != nil {
		return upgrade.StageStart, err
	}
	if err := e.dropPrivileges(); err != nil {
		return upgrade.StageStart, err
	}
	e.deadline = time.NewTimer(e.readyTimeout())
	go e.awaitReady()
	return "", nil
}

// connect finds out who started this process.
func (e *Engine) connect(conf *config.Config) (stage string, err error) {
	opts := upgrade.Options{StandBy: e.canResume()}
	if conf != nil {
		opts.Timeout = conf.Daemon.UpgradeTimeout
		opts.Probation, opts.Verdict = conf.Daemon.Probation, verdictTime(conf)
	}
	e.report = process.Detached()
	if e.up, err = upgrade.New(opts); err != nil {
		return upgrade.StageStart, err
	}
	if r := e.up.Report(); r != nil {
		e.report = r
	}
	if err := e.super.connect(e.up, conf); err != nil {
		return upgrade.StageStart, err
	}
	return "", nil
}

// prepareProcess takes the lock and sets up output and limits.
func (e *Engine) prepareProcess() error {
	process.SetUmask(e.conf.Daemon.Umask)
	if err := e.makeFiles(); err != nil {
		return err
	}
	if err := e.takeFiles(); err != nil {
		return err
	}
	if err := e.openLog(); err != nil {
		return err
	}
	return process.SetMaxFiles(e.conf.Daemon.MaxFiles)
}

func (e *Engine) openLog() error {
	if e.conf.Daemon.Log != "" {
		id, err := check.Identity(e.conf)
		if err != nil {
			return err
		}
		if err := process.OpenLog(e.conf.Daemon.Log, id); err != nil {
			return err
		}
	}
	e.setLogger(e.conf.Daemon.LogFormat)
	e.logging = true
	return nil
}

// takeFiles takes the files by which the daemon is found. A successor whose configuration names
// another PID file takes that one's lock too; see becomeReady.
func (e *Engine) takeFiles() error {
	id, err := check.Identity(e.conf)
	if err != nil {
		return err
	}
	parent := runfiles.Parent{PIDFile: e.up.Manifest().PIDFile, Lock: e.up.File(fileLock)}
	if e.files, err = runfiles.Take(e.PIDFile(), parent, id); err != nil {
		return err
	}
	e.passLock()
	e.up.SetPIDFile(e.PIDFile())
	return nil
}

// passLock has the lock be the successors' too.
func (e *Engine) passLock() {
	if f := e.files.Lock(); f != nil {
		e.up.Pass(fileLock, f)
	}
}

// abandon undoes what a start that failed has done.
func (e *Engine) abandon() {
	if e.deadline != nil {
		e.deadline.Stop()
	}
	e.super.client.Close()
	envfile.Restore(e.shadowed)
	if e.groups != nil {
		e.groups.Abandon()
	}
	if e.files != nil {
		e.files.Abandon()
	}
}
