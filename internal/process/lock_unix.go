//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Lock is the daemon's lock. Its descriptor goes from generation to generation,
// and flock belongs to the open file that all of them share: the lock is free
// exactly when no generation holds the descriptor.
type Lock struct{ file *os.File }

// LockPath returns the path of the lock file that belongs to a PID file.
func LockPath(pidfile string) string { return pidfile + ".lock" }

// errLocked means that somebody holds the lock.
var errLocked = errors.New("locked")

// acquire takes the lock of a PID file or returns errLocked.
func acquire(pidfile string) (*Lock, error) {
	path := LockPath(pidfile)
	for {
		f, err := openLock(path)
		if errors.Is(err, os.ErrNotExist) && isDir(filepath.Dir(path)) {
			continue // it was there a moment ago
		}
		if err != nil {
			return nil, fmt.Errorf("lock file: %w", err)
		}
		l := &Lock{file: f}
		if err := l.flock(); err != nil {
			_ = f.Close()
			return nil, err
		}
		if l.isAt(path) {
			return l, nil
		}
		_ = f.Close() // the last owner removed it after we had opened it
	}
}

// openLock opens the lock file, which everybody may read who wants to know whether the daemon runs. Root opens it in
// a directory that may be another user's, and so follows no link.
func openLock(path string) (*os.File, error) {
	f, err := create(path, os.O_RDWR, 0o644)
	if errors.Is(err, os.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	}
	return f, err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (l *Lock) flock() error {
	err := control(l.file, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	if err != nil {
		return fmt.Errorf("lock file %s: %w", l.file.Name(), err)
	}
	return nil
}

// isAt reports whether the locked file is the one at path.
func (l *Lock) isAt(path string) bool {
	here, err1 := l.file.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(here, there)
}

// InheritLock makes a Lock of the descriptor that the previous generation
// passed on. It takes over f.
func InheritLock(f *os.File) *Lock { return &Lock{file: f} }

// IsFor reports whether l is the lock that others find beside the PID file, and nobody has
// removed its file.
func (l *Lock) IsFor(pidfile string) bool { return l.isAt(LockPath(pidfile)) }

// File returns the descriptor to pass to a successor. It stays the Lock's.
func (l *Lock) File() *os.File { return l.file }

// Leave gives up this process's share: a successor that has the descriptor
// keeps the lock.
func (l *Lock) Leave() { _ = l.file.Close() }

// held reports whether the lock of a PID file is held by anyone. It takes the
// lock for an instant when it is free; see Acquire.
func held(pidfile string) (bool, error) {
	f, err := os.Open(LockPath(pidfile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock file: %w", err)
	}
	defer func() { _ = f.Close() }()
	err = control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock file %s: %w", f.Name(), err)
	}
	return false, nil
}

// control calls do with f's descriptor, and leaves its mode alone.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	if err := raw.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}
