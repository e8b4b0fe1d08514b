// Package runfiles keeps the files by which a daemon is found: PID file, state file and lock. They are named after the PID
// file, and belong to the generation that serves; the lock goes from generation to generation.
//
// Whoever owns the directory may put anything in their place. Package process checks what it reads, and follows no link.
package runfiles

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Files are those of one PID file. Their methods are safe for concurrent use.
type Files struct {
	pidfile string

	mu       sync.Mutex
	lock     *process.Lock
	fresh    bool          // nobody of this daemon's has had these files before
	former   *process.Lock // the parent's, if that has another PID file; nil otherwise
	parent   string        // that PID file
	requests int           // of Retry
	retrying bool          // a goroutine of Retry is at work
}

// Parent is what a generation has from the one before it. The zero value is for generation 1.
type Parent struct {
	PIDFile string   // its own
	Lock    *os.File // Take takes it over
}

// Take makes the directory of the PID file, if that is below /run, and takes the lock: the parent's if that is the one at
// this PID file, by whatever path, or else a new one; then the parent's is held until RemoveFormer. It
// returns a *process.RunningError while another daemon holds it. owner, if not nil, will be the lock's owner.
func Take(pidfile string, parent Parent, owner *process.Identity) (*Files, error) {
	if err := process.MakeRuntimeDir(pidfile); err != nil {
		return nil, err
	}
	f := &Files{pidfile: pidfile}
	if parent.Lock != nil {
		f.lock = process.InheritLock(parent.Lock)
	}
	if f.lock == nil || !f.lock.IsFor(pidfile) {
		lock, err := process.Acquire(pidfile)
		if err != nil {
			if f.lock != nil {
				f.lock.Leave()
			}
			return nil, err
		}
		f.lock, f.former, f.parent, f.fresh = lock, f.lock, parent.PIDFile, parent.PIDFile != pidfile
	}
	if err := f.lock.GiveTo(owner); err != nil {
		f.Abandon()
		return nil, err
	}
	if parent == (Parent{}) {
		process.RemoveStaleState(pidfile)
	}
	return f, nil
}

// Lock is the lock's file, to be passed to the next generation, or nil where the platform has none. It stays the Files'.
func (f *Files) Lock() *os.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lock.File()
}

// Abandon undoes Take. Files that are new with this process are removed.
func (f *Files) Abandon() {
	if f.fresh {
		_ = process.RemoveFiles(f.pidfile)
	}
	f.Leave()
}

// RemoveFormer removes the parent's files, if these were others. Another daemon could have them by now, if the parent's lock had not been
// held until here.
func (f *Files) RemoveFormer() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.former == nil {
		return nil
	}
	var err error
	if f.former.IsFor(f.parent) {
		if err = process.RemoveFiles(f.parent); err != nil {
			err = fmt.Errorf("%s: %w", f.parent, err)
		}
	}
	f.former.Leave()
	f.former = nil
	return err
}

// Retake takes the lock anew where its file is gone: a successor whose configuration has another PID file has removed those of
// the old one, or somebody has cleaned up. It returns a *process.RunningError while another daemon holds it: then the files are that one's.
func (f *Files) Retake() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.retake()
}

func (f *Files) retake() error {
	if f.lock.IsFor(f.pidfile) {
		return nil
	}
	lock, err := process.Acquire(f.pidfile)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	f.lock.Leave()
	f.lock = lock
	return nil
}

// Leave lets go of the lock, which the other generations that have it go on to hold.
func (f *Files) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lock.Leave()
	if f.former != nil {
		f.former.Leave()
		f.former = nil
	}
}

// WritePID has the PID file name this process.
func (f *Files) WritePID() error { return process.WritePID(f.pidfile, os.Getpid()) }

// WriteState writes the state file.
func (f *Files) WriteState(s *process.State) error { return process.WriteState(f.pidfile, s) }

// RestorePID has the PID file name this process, if it does not: one that has failed may have put its own PID there.
func (f *Files) RestorePID() error {
	if pid, err := process.ReadPID(f.pidfile); err == nil && pid == os.Getpid() {
		return nil
	}
	return f.WritePID()
}

// Remove removes the files at the end of the daemon, unless they are another one's by now. The lock is held until the last file is gone.
func (f *Files) Remove() error {
	defer f.Leave()
	if err := f.Retake(); IsOthers(err) {
		return err
	}
	return process.RemoveFiles(f.pidfile)
}

// IsOthers reports whether an error of Retake says that another daemon has the files.
func IsOthers(err error) bool { return errors.As(err, new(*process.RunningError)) }

// again is the time between two attempts of Retry.
const again = 500 * time.Millisecond

// Retry calls write twice a second until it reports that nothing is left to do, or done is closed: the disk was full, or
// there were no descriptors. A call while another one's write is still being tried adds nothing to it.
func (f *Files) Retry(done <-chan struct{}, write func() (over bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if !f.retrying {
		f.retrying = true
		go f.retry(done, write)
	}
}

func (f *Files) retry(done <-chan struct{}, write func() (over bool)) {
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		f.mu.Lock()
		seen := f.requests
		f.mu.Unlock()
		if over := write(); over && f.isOver(seen) {
			return
		}
	}
}

// isOver reports whether nobody has called Retry since.
func (f *Files) isOver(seen int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retrying = f.requests != seen
	return !f.retrying
}
