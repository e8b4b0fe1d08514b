package gozd

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/envfile"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fileLock is the name under which the lock's descriptor goes from generation to
// generation.
const fileLock = "lock"

// start does all that has to be done before the program can take its groups. On
// an error it returns the stage too.
func (d *Daemon) start() (stage string, err error) {
	fault.At(fault.AfterFork)
	startTime() // later there may be no descriptor for it, and it would be unknown for good
	// The configuration has the time limit for upgrades, which tableflip wants
	// to know first; what is wrong with it is told afterwards, when there is
	// somebody to tell.
	successor := upgrade.IsSuccessor()
	conf, confErr := d.loadConfig()
	if stage, err = d.connect(conf); err != nil {
		return stage, err
	}
	args := process.Arguments()
	if args[0], err = absoluteBinary(args[0]); err != nil { // as late as there is somebody to tell
		return upgrade.StageStart, err
	}
	d.binary = args[0]
	d.up.SetArguments(args)
	fault.At(fault.Configuration)
	if d.restoreEnvironment() || successor && (d.hasActivated() || lacksListen(conf)) {
		conf, confErr = d.loadConfig()
	}
	if confErr == nil {
		confErr = check.Available(conf)
	}
	if confErr == nil {
		confErr = d.checkSupervisor(conf)
	}
	if confErr == nil {
		confErr = d.setEnvironment(conf)
	}
	if confErr != nil {
		return upgrade.StageConfiguration, confErr
	}
	d.conf = conf
	if err := d.prepareProcess(); err != nil {
		return upgrade.StageStart, err
	}
	fault.At(fault.Listen)
	if err := d.claimGroups(); err != nil {
		return upgrade.StageListen, err
	}
	d.warnOfStore()
	d.findWatcher()
	if err := d.useTickets(); err != nil {
		return upgrade.StageStart, err
	}
	if err := d.newReceiver(); err != nil {
		return upgrade.StageStart, err
	}
	if err := d.dropPrivileges(); err != nil {
		return upgrade.StageStart, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deadline = time.AfterFunc(d.readyTimeout(), d.notReady)
	go d.heedParent()
	return "", nil
}

// connect finds out who started this process.
func (d *Daemon) connect(conf *cfg.Config) (stage string, err error) {
	opts := upgrade.Options{StandBy: d.canResume()}
	if conf != nil {
		opts.Timeout = conf.Daemon.UpgradeTimeout
		opts.Probation, opts.Verdict = conf.Daemon.Probation, verdictTime(conf)
	}
	d.report = process.Detached()
	if d.up, err = upgrade.New(opts); err != nil {
		return upgrade.StageStart, err
	}
	if r := d.up.Report(); r != nil {
		d.report = r
	}
	if err := d.connectSupervisor(conf); err != nil {
		return upgrade.StageStart, err
	}
	return "", nil
}

// prepareProcess takes the lock and sets up output and limits.
func (d *Daemon) prepareProcess() error {
	process.SetUmask(d.conf.Daemon.Umask)
	if err := d.makeFiles(); err != nil {
		return err
	}
	if err := d.takeFiles(); err != nil {
		return err
	}
	if err := d.openLog(); err != nil {
		return err
	}
	return process.SetMaxFiles(d.conf.Daemon.MaxFiles)
}

func (d *Daemon) openLog() error {
	if d.conf.Daemon.Log != "" {
		id, err := check.Identity(d.conf)
		if err != nil {
			return err
		}
		if err := process.OpenLog(d.conf.Daemon.Log, id); err != nil {
			return err
		}
	}
	d.setLogger(d.conf.Daemon.LogFormat)
	d.logging = true
	return nil
}

// takeFiles takes the files by which the daemon is found. A successor whose configuration names
// another PID file takes that one's lock too; see becomeReady.
func (d *Daemon) takeFiles() error {
	id, err := check.Identity(d.conf)
	if err != nil {
		return err
	}
	parent := runfiles.Parent{PIDFile: d.up.Manifest().PIDFile, Lock: d.up.File(fileLock)}
	if d.files, err = runfiles.Take(d.PIDFile(), parent, id); err != nil {
		return err
	}
	d.passLock()
	d.up.SetPIDFile(d.PIDFile())
	return nil
}

// passLock has the lock be the successors' too.
func (d *Daemon) passLock() {
	if f := d.files.Lock(); f != nil {
		d.up.Pass(fileLock, f)
	}
}

// abandon undoes what a start that failed has done.
func (d *Daemon) abandon() {
	d.mu.Lock()
	if d.deadline != nil {
		d.deadline.Stop()
	}
	d.mu.Unlock()
	d.super.Close()
	d.tickets.Stop()
	envfile.Restore(d.shadowed)
	for _, g := range d.order {
		g.ln.StopAccepting()
	}
	d.removeNewSockets()
	if d.files != nil {
		d.files.Abandon()
	}
}
