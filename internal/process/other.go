//go:build !unix

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// MayWrite returns nil: nothing is known here.
func MayWrite(string, *Identity) error { return nil }

// gives reports false: there is no such identity here.
func (*Identity) gives() bool { return false }

// IsCurrent reports true, likewise.
func (*Identity) IsCurrent() bool { return true }

// MayBecome returns nil, likewise.
func (*Identity) MayBecome() error { return nil }

// MaySetMaxFiles is SetMaxFiles, which does nothing here but fail.
func MaySetMaxFiles(n uint64) error { return SetMaxFiles(n) }

// MakeFile does nothing.
func (*Identity) MakeFile(string, fs.FileMode) error { return nil }

// MakeDir makes a directory, if only its last element is missing.
func (*Identity) MakeDir(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// TakeDir does nothing.
func (*Identity) TakeDir(string, string) error { return nil }

// Readable returns nil.
func Readable(string) error { return nil }

// Writable returns nil.
func Writable(string) error { return nil }

// InForeground reports false.
func InForeground() bool { return false }

// SetUmask does nothing.
func SetUmask(fs.FileMode) {}

// Lock is not to be had here: nothing keeps a second instance away.
type Lock struct{}

// LockPath returns the path of the lock file that belongs to a PID file.
func LockPath(pidfile string) string { return pidfile + ".lock" }

func acquire(string) (*Lock, error) { return &Lock{}, nil }

// InheritLock closes f and returns a Lock that locks nothing.
func InheritLock(f *os.File) *Lock {
	_ = f.Close()
	return &Lock{}
}

// IsAt returns true.
func (*Lock) IsAt(string) bool { return true }

// IsFor returns true.
func (*Lock) IsFor(string) bool { return true }

// File returns nil.
func (*Lock) File() *os.File { return nil }

// Leave does nothing.
func (*Lock) Leave() {}

// Remove does nothing.
func (*Lock) Remove(string) error { return nil }

// GiveTo does nothing.
func (*Lock) GiveTo(*Identity) error { return nil }

func names(fs.FileInfo) uint64 { return 1 }

func held(string) (fs.FileInfo, error) { return nil, nil }

func openLogFile(path string, _ int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, mode)
}

// LogMoved returns false: what is open cannot be moved away here.
func LogMoved(string) bool { return false }

func owner(fs.FileInfo) (uid int, ok bool) { return 0, false }

func isOurs(fs.FileInfo) bool { return true }

// Identity is not to be had here.
type Identity struct{ UID, GID int }

// LookupIdentity returns nil when both names are empty, and an error that wraps
// errors.ErrUnsupported otherwise.
func LookupIdentity(userName, groupName string) (*Identity, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	return nil, fmt.Errorf("user and group: %w", errors.ErrUnsupported)
}

// LookupUser returns an error that wraps errors.ErrUnsupported.
func LookupUser(string) (int, error) { return 0, errors.ErrUnsupported }

// LookupGroup returns an error that wraps errors.ErrUnsupported.
func LookupGroup(string) (int, error) { return 0, errors.ErrUnsupported }

// Become returns an error that wraps errors.ErrUnsupported.
func (*Identity) Become() error { return errors.ErrUnsupported }

// SetMaxFiles returns an error that wraps errors.ErrUnsupported, unless n is 0.
func SetMaxFiles(n uint64) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("max_files: %w", errors.ErrUnsupported)
}

func openUnfollowed(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}

func unlink(path string) error { return os.Remove(path) }

func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}

func rename(from, to string) error { return os.Rename(from, to) }

func redirect(*os.File) error { return errors.ErrUnsupported }

// maxFiles is 0: nothing has to be kept in reserve where there is no such limit.
func maxFiles() int { return 0 }

// highestAreFree leaves the answer to duplicates.
func highestAreFree(int) bool { return false }

// duplicates makes none, and says that it has: there is no limit to be met.
func duplicates(_ *os.File, n int) int { return n }

func newSession() *syscall.SysProcAttr { return nil }

func isPipe(int) bool { return false }

// CloseAllOnExec does nothing: a process inherits only what it is given here.
func CloseAllOnExec() {}

// OnlyRootWrites returns nil: there is no such user here.
func OnlyRootWrites(string) error { return nil }

func onlyRootWrites(string) (open bool, err error) { return false, nil }

// Watcher returns "": this process cannot be upgraded anyway.
func Watcher() string { return "" }

// isShared is false: who may write where is not looked at.
func isShared(string) bool { return false }
