package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrNotRunning means that no generation of the daemon serves, whatever the PID
// file says.
var ErrNotRunning = errors.New("not running")

// RunningError is returned by [Acquire] when the daemon runs already.
type RunningError struct {
	PIDFile string
	PID     int // of the serving generation; 0 if it could not be found out
}

// Error implements error.
func (e *RunningError) Error() string {
	text := "already running"
	if e.PID != 0 {
		text += fmt.Sprintf(", pid %d", e.PID)
	}
	return fmt.Sprintf("%s (PID file %s)", text, e.PIDFile)
}

// ErrCannotSee means that nothing is known of other processes here: /proc is not mounted, in a chroot for one.
var ErrCannotSee = errors.New("other processes cannot be seen: /proc is not mounted")

// acquireWait is how long Acquire tries when the lock is held but no daemon is
// to be seen: somebody who only looks holds the lock for an instant, a daemon that
// has just taken it has not written its PID yet, and one that ends removes its files.
const acquireWait = settleWait

// Acquire takes the lock that belongs to a PID file. It returns a *RunningError
// while a generation of the daemon serves.
func Acquire(pidfile string) (*Lock, error) {
	if of := belongsTo(pidfile); of != "" {
		return nil, fmt.Errorf("PID file %s: it is the state or lock file of the daemon with the PID file %s", pidfile, of)
	}
	deadline := time.Now().Add(acquireWait)
	for {
		l, err := acquire(LockPath(pidfile))
		if !errors.Is(err, ErrLocked) {
			return l, err
		}
		if p, err := Find(pidfile); err == nil {
			p.Close()
			return nil, &RunningError{PIDFile: pidfile, PID: p.PID}
		}
		if time.Now().After(deadline) {
			return nil, &RunningError{PIDFile: pidfile}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// belongsTo returns the PID file of a daemon that runs and has a file with the name pidfile, or "".
func belongsTo(pidfile string) string {
	for _, name := range []func(string) string{LockPath, StatePath} {
		of, ok := strings.CutSuffix(pidfile, name(""))
		if !ok || of == "" {
			continue
		}
		if lock, err := held(of); err == nil && lock != nil {
			return of
		}
	}
	return ""
}

// ErrHidden means that a process lives, and that /proc does not show it: nobody knows whether it is the one that is meant.
var ErrHidden = errors.New("/proc hides it (hidepid, in a unit ProtectProc=)")

// Process is a live process, known by more than its PID.
type Process struct {
	PID int
	os  *os.Process
}

// Open returns the process that has this PID and start time. The error wraps
// os.ErrProcessDone where it is gone, also where a stranger has its PID, and [ErrHidden] where this process may signal it, and cannot see it:
// another user's counts as a stranger. After any other error, as without a free descriptor, it may live.
func Open(pid int, startTime uint64) (*Process, error) {
	// On Linux os.FindProcess holds a pidfd: the process it names cannot
	// change any more, so checking after it and signalling later is exact.
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	now, err := StartTime(pid)
	if errors.Is(err, fs.ErrNotExist) && livesUnseen(pid) {
		err = ErrHidden
	}
	if err != nil && !isGone(err) {
		_ = p.Release()
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	if err != nil || (startTime != 0 && now != startTime) {
		_ = p.Release()
		return nil, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return &Process{PID: pid, os: p}, nil
}

// isGone reports whether an error of StartTime says that there is no such process.
func isGone(err error) bool {
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// Signal sends a signal to the process, and to no other.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.os.Signal(sig); err != nil {
		return fmt.Errorf("signal %v to process %d: %w", sig, p.PID, err)
	}
	return nil
}

// Close releases the handle. The process is not affected.
func (p *Process) Close() { _ = p.os.Release() }

// Running is the serving generation of a daemon.
type Running struct {
	*Process
	State *State

	record *Record
}

// Signal signals the generation, if it has the daemon's lock: a state file can name any process of the lock's owner, also one that he could not signal
// himself, since it is outside of the container in which he runs. The error wraps os.ErrProcessDone where it serves no longer, and [ErrUntrusted] where
// it never had the lock. Root without CAP_SYS_PTRACE cannot see who has it, and believes the file.
//
// Whose it is is looked at again after that, which takes as long as it has descriptors: it may be root's by now, by a program with the set-user-ID bit.
func (r *Running) Signal(sig os.Signal) error {
	has, err := holdsLock(r.PID, r.record.lock)
	switch {
	case has || errors.Is(err, fs.ErrPermission):
		if err := checkUser(r.record.pidfile, r.record.Owner, r.PID); err != nil {
			return err
		}
		return r.Process.Signal(sig)
	case isGone(err) || r.record.isOver():
		return fmt.Errorf("process %d: %w", r.PID, os.ErrProcessDone)
	case err != nil:
		return fmt.Errorf("%s: look whether process %d has the daemon's lock: %w", r.record.pidfile, r.PID, err)
	}
	return fmt.Errorf("%s: process %d is said to be the daemon's, and does not have its lock: %w", r.record.pidfile, r.PID, ErrUntrusted)
}

// Find returns the serving generation of the daemon that a PID file belongs
// to. It believes the lock, then the state file, and checks the process's start
// time and user: a stale PID file, or a PID that a stranger has by now, is
// [ErrNotRunning], and files that could be anybody's are [ErrUntrusted]. It looks once; who acts on what it says calls [Await].
func Find(pidfile string) (*Running, error) {
	r, err := ReadRecord(pidfile)
	if err != nil {
		return nil, err
	}
	p, err := r.Open()
	if err != nil {
		return nil, err
	}
	return &Running{Process: p, State: r.State, record: r}, nil
}

// notRunning tells a stale PID file from none, and both from a daemon whose lock file
// somebody has removed. That one removes its state file first when it ends.
func notRunning(pidfile string) error {
	if s, err := ReadState(pidfile); err == nil && s.StartTime != 0 {
		if p, err := Open(s.PID, s.StartTime); err == nil {
			p.Close()
			return fmt.Errorf("%s: %w (nobody holds the daemon's lock, but pid %d is alive: its successor has ended, or somebody has removed %s)",
				pidfile, ErrNotRunning, s.PID, LockPath(pidfile))
		}
	}
	pid, err := ReadPID(pidfile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w (no PID file)", pidfile, ErrNotRunning)
	case err != nil:
		return fmt.Errorf("%w (%w)", ErrNotRunning, err)
	}
	return fmt.Errorf("%s: %w (the file is stale: it names pid %d, and nobody holds the daemon's lock)", pidfile, ErrNotRunning, pid)
}

// RemoveFiles removes a daemon's files when its last generation ends. It must
// be called while the lock is held; the lock file goes last.
func RemoveFiles(pidfile string) error {
	state := StatePath(pidfile)
	return errors.Join(removeNew(pidfile), removeNew(state), remove(pidfile), remove(state), remove(LockPath(pidfile)))
}

// RemoveStaleState removes the state file that a daemon has left which was killed, once another has the lock: until
// that one serves, nobody does.
func RemoveStaleState(pidfile string) { _ = remove(StatePath(pidfile)) }
