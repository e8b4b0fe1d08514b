package engine

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fileLock is the name under which the lock's descriptor goes from generation to
// generation.
const fileLock = "lock"

// files are those by which the daemon is found, and its log.
type files struct {
	*runfiles.Files

	up      *upgrade.Upgrader
	pidfile string
	state   func() *process.State // what is to be in the state file now
	fds     *fdReserve
	log     *slog.Logger
	logfile logfile

	restoring chan struct{} // has a value while they are taken back after a successor's death: no upgrade begins, and nothing is removed
}

// take takes the lock. A successor whose configuration names another PID file takes that one's lock too; see becomeReady.
func (f *files) take(conf *config.Config, parentsPIDFile string) error {
	id, err := check.Identity(conf)
	if err != nil {
		return err
	}
	parent := runfiles.Parent{PIDFile: parentsPIDFile, Lock: f.up.File(fileLock)}
	if f.Files, err = runfiles.Take(f.pidfile, parent, id); err != nil {
		return err
	}
	f.passLock()
	return nil
}

// passLock has the lock be the successors' too.
func (f *files) passLock() {
	if lock := f.Lock(); lock != nil {
		f.up.Pass(fileLock, lock)
	}
}

// retakeLock fails where another instance has the daemon's lock by now, and where there can be none: see runfiles.IsOthers.
func (f *files) retakeLock() error {
	if err := f.Retake(); err != nil {
		return err
	}
	f.passLock()
	return nil
}

// writeFirstState writes the state file of a generation that has begun to serve, and reports whether it is there: clients may have taken all
// descriptors.
func (f *files) writeFirstState() bool {
	err := f.fds.call(f.writeState)
	if err != nil {
		f.log.Error("state file not written", "error", err)
	}
	return err == nil
}

func (f *files) writeState() error { return f.WriteState(f.state()) }

// errNotRestored is why nothing else is done with the files.
var errNotRestored = errors.New("this generation serves again after its successor's death, and its PID file and state file are not written yet")

// awaitRestored waits until the files are this generation's again, where they were another's: what a successor is about to write must not be
// overwritten later. It does not wait longer than filesWait.
func (f *files) awaitRestored() error {
	timer := time.NewTimer(filesWait)
	defer timer.Stop()
	select {
	case f.restoring <- struct{}{}:
		<-f.restoring
		return nil
	case <-timer.C:
		return errNotRestored
	}
}

// restore has both files name this generation again, and reports whether they do.
func (f *files) restore() bool {
	err := f.restoreQuietly()
	if err != nil {
		f.log.Error("PID file and state file not restored", "error", err)
	}
	return err == nil
}

// restoreQuietly leaves alone what another daemon has.
func (f *files) restoreQuietly() error {
	err := f.retakeLock()
	if runfiles.IsOthers(err) {
		return err
	}
	return errors.Join(err, f.RestorePID(), f.writeState())
}

// keepWriting writes PID file and state file as soon as that is possible again: the disk
// was full, or there were no descriptors. Whoever wants to ask the daemon or to stop it finds it by
// nothing else. It is over when this generation serves no longer: during an upgrade the files may be the successor's already, and after this
// generation's end they are gone.
func (f *files) keepWriting(done <-chan struct{}, slot sync.Locker, life *life) {
	f.Retry(done, func() (over bool) {
		slot.Lock()
		defer slot.Unlock()
		if !life.is(serving) {
			return true
		}
		if f.restoreQuietly() != nil {
			return false // it has been logged when it failed first
		}
		f.log.Info("PID file and state file written at last")
		return true
	})
}

// remove removes what the daemon leaves in the file system, at its very end.
func (f *files) remove() {
	if err := f.awaitRestored(); err != nil {
		f.log.Warn("PID file not removed", "error", err)
		return
	}
	server.RemoveStale(f.pidfile)
	if err := f.Remove(); err != nil {
		f.log.Warn("PID file not removed", "error", err)
	}
}

// stopAnswer is what whoever asks for a stop gives this process more than that may take: both times could else be over in the same moment.
const stopAnswer = 2 * time.Second

// state says what this generation is, for the state file.
func (s *start) state() *process.State {
	return &process.State{
		PID:         s.self.PID,
		StartTime:   s.self.StartTime,
		Generation:  s.self.Generation,
		Since:       s.life.servesSince(),
		Binary:      s.binary,
		Listen:      s.groups.Addresses(),
		Config:      s.conf.File,
		UpgradeWait: process.Duration(upgradeWait(s.conf, s.hooks.OnUpgrade != nil)),
		StopWait:    process.Duration(stopWait(s.conf) + stopAnswer),
		Control:     s.up.Supported(),
	}
}
