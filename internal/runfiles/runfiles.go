// Package runfiles keeps the files by which a daemon is found: PID file, state file and lock. They are named after the PID
// file, and belong to the generation that serves; the lock goes from generation to generation.
//
// Whoever owns the directory may put anything in their place. Package process checks what it reads, and follows no link.
package runfiles

import (
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
	requests int  // of Retry
	retrying bool // a goroutine of Retry is at work
}

// Parent is what a generation has from the one before it. The zero value is for generation 1.
type Parent struct {
	PIDFile string   // its own
	Lock    *os.File // Take closes it if it takes another
}

// Take makes the directory of the PID file, if that is below /run, and takes the lock: the parent's, or a new one where
// the parent has another PID file, or somebody has removed the lock's file, by which nobody would find it any more. It
// returns a *process.RunningError while another daemon holds it. owner, if not nil, will be the lock's owner.
func Take(pidfile string, parent Parent, owner *process.Identity) (*Files, error) {
	if err := process.MakeRuntimeDir(pidfile); err != nil {
		return nil, err
	}
	f := &Files{pidfile: pidfile}
	if parent.Lock != nil {
		f.lock = process.InheritLock(parent.Lock)
	}
	if f.lock == nil || parent.PIDFile != pidfile || !f.lock.IsFor(pidfile) {
		lock, err := process.Acquire(pidfile)
		if f.lock != nil {
			f.lock.Leave() // the parent still holds it, and leaves it when it is replaced
		}
		if f.lock = lock; err != nil {
			return nil, err
		}
	}
	if err := f.lock.GiveTo(owner); err != nil {
		f.Abandon(parent == Parent{})
		return nil, err
	}
	if parent == (Parent{}) {
		process.RemoveStaleState(pidfile)
	}
	return f, nil
}

// Lock is the lock's file, for the next generation, or nil where the platform has none. It stays the caller's of Take.
func (f *Files) Lock() *os.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lock.File()
}

// Abandon undoes Take. A first generation has written nothing yet, and removes the lock's file too.
func (f *Files) Abandon(first bool) {
	if first {
		_ = process.RemoveFiles(f.pidfile) // none but the lock's
	}
	f.Leave()
}

// Retake takes the lock anew where its file is gone: a successor whose configuration has another PID file has removed those of
// the old one. Somebody else may hold it by now.
func (f *Files) Retake() error {
	f.mu.Lock()
	defer f.mu.Unlock()
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

// Remove removes the files at the end of the daemon. The lock is held until the last file is gone.
func (f *Files) Remove() error {
	err := process.RemoveFiles(f.pidfile)
	f.Leave()
	return err
}

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
