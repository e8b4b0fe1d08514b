//go:build unix

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// Lock is the daemon's lock. Its descriptor goes from generation to generation,
// and flock belongs to the open file that all of them share: the lock is free
// exactly when no generation holds the descriptor.
type Lock struct{ file *os.File }

// LockPath returns the path of the lock file that belongs to a PID file.
func LockPath(pidfile string) string { return pidfile + ".lock" }

// maxLooks bounds how often a lock file is opened that is removed at once: a daemon that ends does so, and
// whoever owns the directory could do it for ever.
const maxLooks = 1000

// acquire takes the lock of the file at path, which it makes if there is none, or returns ErrLocked.
func acquire(path string) (*Lock, error) {
	for range maxLooks {
		f, made, err := openLock(path)
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
		if l.IsAt(path) {
			good, err := l.makeOurs(path, made)
			if good {
				return l, nil
			}
			if err != nil {
				_ = f.Close()
				return nil, fmt.Errorf("lock file: %w", err)
			}
		}
		_ = f.Close() // it is not the one at the path, or not any more
	}
	return nil, fmt.Errorf("lock file %s: somebody puts another in its place again and again", path)
}

// lockMode lets nobody else take the lock: flock needs no more than the right to read.
const lockMode = 0o600

// openLock opens the lock file, and reports whether it has made it. Root opens it in a directory that may be another user's, and so follows no link.
func openLock(path string) (f *os.File, made bool, err error) {
	f, err = create(path, os.O_RDWR, lockMode)
	if errors.Is(err, os.ErrExist) {
		f, err = openUnfollowed(path, os.O_RDWR, 0)
		return f, false, err
	}
	return f, true, err
}

// makeOurs sees to it that the lock file, which is locked and nobody's any more, is this process's user's own and no
// one else's to open: an older version made it for all to read, another user's daemon may have left it, or somebody has
// put it there: where others can write, they can have moved a file of root's there. What is not ours is not changed, but removed, and good is
// false: the next look makes a new one.
func (l *Lock) makeOurs(path string, made bool) (good bool, err error) {
	info, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("not a regular file (%v)", info.Mode().Type())}
	}
	if !isOurs(info) || info.Size() != 0 || !made && isShared(path) {
		return false, remove(path)
	}
	return true, l.file.Chmod(lockMode)
}

// isShared reports whether others than root can put files in the place of the one at path, for root.
func isShared(path string) bool {
	dir, err := safepath.Walk(path, false)
	if err != nil {
		return true
	}
	defer dir.Close()
	return dir.Shared
}

// GiveTo makes the lock file id's, who is to hold it: whoever asks whether the daemon runs compares the file's owner with
// the process's user.
func (l *Lock) GiveTo(id *Identity) error {
	if !id.gives() {
		return nil
	}
	if err := l.file.Chown(id.UID, id.GID); err != nil {
		return fmt.Errorf("lock file: %w", err)
	}
	return nil
}

func isDir(path string) bool {
	info, err := safepath.Stat(path)
	return err == nil && info.IsDir()
}

func (l *Lock) flock() error {
	err := control(l.file, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return fmt.Errorf("lock file %s: %w", l.file.Name(), err)
	}
	return nil
}

// IsAt reports whether the locked file is the one at path, and nobody has removed or replaced it.
func (l *Lock) IsAt(path string) bool {
	here, err1 := l.file.Stat()
	there, err2 := safepath.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(here, there)
}

// InheritLock makes a Lock of the descriptor that the previous generation
// passed on. It takes over f.
func InheritLock(f *os.File) *Lock { return &Lock{file: f} }

// IsFor reports whether l is the lock that others find beside the PID file, and nobody has
// removed its file.
func (l *Lock) IsFor(pidfile string) bool { return l.IsAt(LockPath(pidfile)) }

// File returns the descriptor to pass to a successor. It stays the Lock's.
func (l *Lock) File() *os.File { return l.file }

// Leave gives up this process's share: a successor that has the descriptor
// keeps the lock.
func (l *Lock) Leave() { _ = l.file.Close() }

// Remove removes the locked file, which is at path, and gives up the lock then. It removes no other file that somebody has put there.
func (l *Lock) Remove(path string) (err error) {
	if l.IsAt(path) {
		err = remove(path)
	}
	l.Leave()
	return err
}

// held returns the lock file of a PID file if anyone holds the lock, and nil if nobody does. It takes the
// lock for an instant when it is free; see Acquire.
func held(pidfile string) (fs.FileInfo, error) {
	f, info, err := openControlFile(LockPath(pidfile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	defer func() { _ = f.Close() }()
	err = control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return info, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock file %s: %w", f.Name(), err)
	}
	return nil, nil
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
