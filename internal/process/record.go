package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// ErrUntrusted means that a daemon's files do not prove whose they are: somebody who is neither root nor the
// daemon's user could have written them, or has. No process is signalled or asked then. It is fs.ErrPermission too.
var ErrUntrusted = fmt.Errorf("not to be trusted: %w", fs.ErrPermission)

// Record is what the files of a daemon that runs say of it.
//
// Whoever may write in their directory may lie in them. So a Record is believed only as far as its owner could act
// himself: the process that it names must be one of the user who owns the lock, and where that is root, the directory must
// be in root's hands alone.
type Record struct {
	State *State
	Owner int // uid of the user who owns the lock; -1 where the system has none

	pidfile string
	lock    fs.FileInfo
}

// ReadRecord returns what the files of the daemon that runs by a PID file say. The error wraps [ErrNotRunning]
// where nobody holds the daemon's lock, [ErrUntrusted], and fs.ErrNotExist while a daemon starts. It does not look
// at the process; see [Record.Open].
func ReadRecord(pidfile string) (*Record, error) {
	lock, err := held(pidfile)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, notRunning(pidfile)
	}
	state, info, err := readState(pidfile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: the daemon is starting, or somebody has removed its state file: %w", pidfile, err)
	}
	if err != nil {
		return nil, err
	}
	r := &Record{State: state, Owner: -1, pidfile: pidfile, lock: lock}
	uid, ok := owner(lock)
	if !ok {
		return r, nil
	}
	r.Owner = uid
	if by, _ := owner(info); by != uid && by != 0 {
		return nil, fmt.Errorf("%s: the daemon is user %d's, and its state file user %d's: %w", pidfile, uid, by, ErrUntrusted)
	}
	return r, r.checkDirectory()
}

// ReadRecordOf is [ReadRecord] of a PID file that a daemon of the user uid has named; -1 is anybody. Files of another user's are those of another
// daemon: the error wraps [ErrUntrusted], and they are not opened.
func ReadRecordOf(pidfile string, uid int) (*Record, error) {
	if info, err := safepath.Lstat(LockPath(pidfile)); err == nil {
		if by, ok := owner(info); ok && uid >= 0 && by != uid {
			return nil, fmt.Errorf("%s: the daemon is user %d's, and its lock file user %d's: %w", pidfile, uid, by, ErrUntrusted)
		}
	}
	r, err := ReadRecord(pidfile)
	if err == nil && uid >= 0 && r.Owner != uid { // it has been exchanged since
		return nil, fmt.Errorf("%s: the daemon is user %d's, and its lock file user %d's: %w", pidfile, uid, r.Owner, ErrUntrusted)
	}
	return r, err
}

// checkDirectory refuses the files of a daemon of root's that lie where another user could exchange them, to whoever could
// do harm by them. In a directory such as /tmp he could only have moved them there, and they are of another PID file then.
func (r *Record) checkDirectory() error {
	if r.Owner != 0 || os.Geteuid() != 0 {
		return nil
	}
	dir := filepath.Dir(r.pidfile)
	open, err := onlyRootWrites(dir)
	if err != nil {
		return fmt.Errorf("%s: a daemon of root's, and its files could be another's: %w", r.pidfile, err)
	}
	if !open {
		return nil
	}
	if r.State.PIDFile == "" {
		return fmt.Errorf("%s: others than root can move files to where it is, and its state file does not say whose it is, as that of an older version: %w", r.pidfile, ErrUntrusted)
	}
	if path, err := filepath.Abs(r.pidfile); err == nil && path == r.State.PIDFile {
		return nil
	}
	if dir, err = filepath.EvalSymlinks(dir); err == nil && filepath.Join(dir, filepath.Base(r.pidfile)) == r.State.PIDFile {
		return nil
	}
	return fmt.Errorf("%s: its files are those of the daemon with the PID file %q, and others than root can move files to where they are: %w", r.pidfile, r.State.PIDFile, ErrUntrusted)
}

// isOver reports whether the files say something else by now: another generation serves, or none.
func (r *Record) isOver() bool {
	now, err := ReadRecord(r.pidfile)
	return err != nil || !os.SameFile(now.lock, r.lock) || now.State.PID != r.State.PID || now.State.StartTime != r.State.StartTime
}

// Open returns the process that serves. The error wraps os.ErrProcessDone where it is gone, or where this
// process cannot see it, and [ErrUntrusted] where it is not the lock's owner's.
func (r *Record) Open() (*Process, error) {
	p, err := r.open()
	if errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("%s: the daemon's lock is held, but its serving generation is gone, or runs in another PID namespace: %w", r.pidfile, err)
	}
	return p, err
}

// open returns the process that the state file names, if it is the lock's owner's.
func (r *Record) open() (*Process, error) {
	return OpenOf(r.pidfile, r.Owner, r.State.PID, r.State.StartTime)
}

// OpenOf is [Open] for a process of which somebody says that it is the daemon's that runs by pidfile, as user owner; -1 is anybody. The error wraps
// [ErrUntrusted] where it is another user's.
func OpenOf(pidfile string, owner, pid int, startTime uint64) (*Process, error) {
	p, err := Open(pid, startTime)
	if err != nil {
		return nil, err
	}
	if err := checkUser(pidfile, owner, p.PID); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// checkUser compares the user of a process with the daemon's, once its handle is held.
func checkUser(pidfile string, owner, pid int) error {
	real, effective, err := userOf(pid)
	switch {
	case owner < 0 || errors.Is(err, errors.ErrUnsupported):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	case err != nil:
		return fmt.Errorf("process %d: %w", pid, err)
	case effective != owner || real != owner && owner != 0:
		return fmt.Errorf("%s: the daemon is user %d's, and process %d, which is said to be its, is user %d's: %w",
			pidfile, owner, pid, effective, ErrUntrusted)
	}
	return nil
}
