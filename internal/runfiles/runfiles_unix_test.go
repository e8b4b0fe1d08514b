//go:build unix

package runfiles_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
)

func take(t *testing.T, pidfile string, parent runfiles.Parent) *runfiles.Files {
	t.Helper()
	f, err := runfiles.Take(pidfile, parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Leave)
	return f
}

// serve writes what a daemon has written that runs: a second one is refused at once then.
func serve(t *testing.T, f *runfiles.Files) {
	t.Helper()
	if err := errors.Join(f.WritePID(), f.WriteState(&process.State{PID: os.Getpid(), Generation: 1})); err != nil {
		t.Fatal(err)
	}
}

// inherit is the lock's file as a successor has it.
func inherit(t *testing.T, from *runfiles.Files) *os.File {
	t.Helper()
	dup, err := syscall.Dup(int(from.Lock().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(dup), "lock")
}

// wantHeld checks whether a second daemon can start.
func wantHeld(t *testing.T, pidfile string, held bool) {
	t.Helper()
	f, err := runfiles.Take(pidfile, runfiles.Parent{}, nil)
	if err == nil {
		f.Leave()
	}
	if is := errors.As(err, new(*process.RunningError)); is != held {
		t.Errorf("a second daemon: %v, want that the lock is held: %t", err, held)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestLife(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	f := take(t, pidfile, runfiles.Parent{})
	serve(t, f)
	if pid, err := process.ReadPID(pidfile); err != nil || pid != os.Getpid() {
		t.Errorf("the PID file names %d, %v", pid, err)
	}
	if s, err := process.ReadState(pidfile); err != nil || s.Generation != 1 {
		t.Errorf("the state file has %+v, %v", s, err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	for _, path := range []string{pidfile, process.StatePath(pidfile), process.LockPath(pidfile)} {
		if exists(path) {
			t.Errorf("%s is left", path)
		}
	}
}

// A successor that failed at the last moment has left its PID.
func TestRestorePID(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	f := take(t, pidfile, runfiles.Parent{})
	for _, spoil := range []func() error{
		func() error { return process.WritePID(pidfile, 1) },
		func() error { return os.WriteFile(pidfile, []byte("nonsense"), 0o644) },
		func() error { return os.Remove(pidfile) },
	} {
		if err := f.WritePID(); err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := f.RestorePID(); err != nil {
			t.Error(err)
		}
		if pid, err := process.ReadPID(pidfile); err != nil || pid != os.Getpid() {
			t.Errorf("the PID file names %d, %v, want this process", pid, err)
		}
	}
}

// What a start that failed has made goes, and no file of a daemon that runs.
func TestAbandon(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	take(t, pidfile, runfiles.Parent{}).Abandon()
	if exists(process.LockPath(pidfile)) {
		t.Error("the lock's file is left")
	}
	first := take(t, pidfile, runfiles.Parent{})
	if err := first.WritePID(); err != nil {
		t.Fatal(err)
	}
	take(t, pidfile, runfiles.Parent{PIDFile: pidfile, Lock: inherit(t, first)}).Abandon()
	if !exists(pidfile) || !exists(process.LockPath(pidfile)) {
		t.Error("the parent's files are gone")
	}
}

// The lock's file was removed by hand, or by a successor with another PID file.
func TestRetake(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	f := take(t, pidfile, runfiles.Parent{})
	if err := f.Retake(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(process.LockPath(pidfile)); err != nil {
		t.Fatal(err)
	}
	if err := f.Retake(); err != nil || !exists(process.LockPath(pidfile)) {
		t.Errorf("Retake = %v, and there is a file: %t", err, exists(process.LockPath(pidfile)))
	}
	serve(t, f)
	wantHeld(t, pidfile, true)
	f.Leave()
	wantHeld(t, pidfile, false)
}

func TestRetakeAfterAnother(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	f := take(t, pidfile, runfiles.Parent{})
	if err := os.Remove(process.LockPath(pidfile)); err != nil {
		t.Fatal(err)
	}
	serve(t, take(t, pidfile, runfiles.Parent{}))
	if err := f.Retake(); !errors.As(err, new(*process.RunningError)) {
		t.Errorf("Retake = %v, want that another daemon runs", err)
	}
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, done := new(runfiles.Files), make(chan struct{})
		var tries atomic.Int32
		f.Retry(done, func() bool { return tries.Add(1) > 3 })
		f.Retry(done, func() bool { t.Error("it adds an attempt of its own"); return true })
		time.Sleep(time.Minute)
		if n := tries.Load(); n != 4 {
			t.Errorf("%d attempts, want 4", n)
		}
		f.Retry(done, func() bool { tries.Add(1); return false }) // again, later
		time.Sleep(time.Minute)
		if n := tries.Load(); n < 100 {
			t.Errorf("%d attempts in a minute", n)
		}
		close(done)
	})
}

// Whoever calls during an attempt wants something written that this attempt does not know.
func TestRetryDuringAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, done := new(runfiles.Files), make(chan struct{})
		var tries atomic.Int32
		var write func() bool
		write = func() bool {
			if tries.Add(1) == 1 {
				f.Retry(done, write)
			}
			return true
		}
		f.Retry(done, write)
		time.Sleep(time.Minute)
		if n := tries.Load(); n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
	})
}

// A successor whose configuration has another PID file holds the parent's lock until it has removed the parent's files: no other
// daemon can have taken them meanwhile, and lose them.
func TestRemoveFormer(t *testing.T) {
	dir := t.TempDir()
	old, moved := filepath.Join(dir, "old.pid"), filepath.Join(dir, "new.pid")
	parent := take(t, old, runfiles.Parent{})
	serve(t, parent)
	f := take(t, moved, runfiles.Parent{PIDFile: old, Lock: inherit(t, parent)})
	parent.Leave()
	wantHeld(t, old, true)
	if err := f.RemoveFormer(); err != nil || exists(old) || exists(process.StatePath(old)) || exists(process.LockPath(old)) {
		t.Errorf("RemoveFormer = %v, and files are left", err)
	}
	wantHeld(t, old, false)
	serve(t, f)
	wantHeld(t, moved, true)
}

// The same PID file by another path, such as /var/run for /run.
func TestSameFileByAnotherPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("run", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	pidfile := filepath.Join(dir, "run", "app.pid")
	parent := take(t, pidfile, runfiles.Parent{})
	serve(t, parent)
	f := take(t, filepath.Join(dir, "link", "app.pid"), runfiles.Parent{PIDFile: pidfile, Lock: inherit(t, parent)})
	if err := f.RemoveFormer(); err != nil || !exists(pidfile) {
		t.Errorf("RemoveFormer = %v, and the PID file is there: %t", err, exists(pidfile))
	}
}

// Whose lock file has been removed, as somebody does who cleans up, has lost the files once another daemon has them.
func TestFilesOfAnother(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	first := take(t, pidfile, runfiles.Parent{})
	serve(t, first)
	if err := os.Remove(process.LockPath(pidfile)); err != nil {
		t.Fatal(err)
	}
	second := take(t, pidfile, runfiles.Parent{})
	serve(t, second)
	if err := first.Retake(); !runfiles.IsOthers(err) {
		t.Errorf("Retake = %v", err)
	}
	if err := first.Remove(); !runfiles.IsOthers(err) {
		t.Errorf("Remove = %v", err)
	}
	for _, path := range []string{pidfile, process.StatePath(pidfile), process.LockPath(pidfile)} {
		if !exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	if err := second.Remove(); err != nil || exists(pidfile) || exists(process.LockPath(pidfile)) {
		t.Errorf("Remove = %v", err)
	}
}

// Where there is no other, they are removed at the end.
func TestRemoveWithoutALock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	pidfile := filepath.Join(dir, "app.pid")
	for _, clean := range []func(string) error{
		func(p string) error { return os.Remove(process.LockPath(p)) },
		func(string) error { return os.RemoveAll(dir) },
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		f := take(t, pidfile, runfiles.Parent{})
		serve(t, f)
		if err := clean(pidfile); err != nil {
			t.Fatal(err)
		}
		if err := f.Remove(); err != nil && exists(dir) || exists(pidfile) || exists(process.LockPath(pidfile)) || exists(process.StatePath(pidfile)) {
			t.Errorf("Remove = %v", err)
		}
	}
}
