//go:build !unix

package process

import (
	"errors"
	"io/fs"
	"os"
)

// Lock is not to be had here: nothing keeps a second instance away.
type Lock struct{}

// LockPath returns the path of the lock file that belongs to a PID file.
func LockPath(pidfile string) string { return pidfile + ".lock" }

var errLocked = errors.New("locked")

func acquire(string) (*Lock, error) { return &Lock{}, nil }

// InheritLock closes f and returns a Lock that locks nothing.
func InheritLock(f *os.File) *Lock {
	_ = f.Close()
	return &Lock{}
}

// IsFor returns true.
func (*Lock) IsFor(string) bool { return true }

// File returns nil.
func (*Lock) File() *os.File { return nil }

// Leave does nothing.
func (*Lock) Leave() {}

// GiveTo does nothing.
func (*Lock) GiveTo(*Identity) error { return nil }

func held(string) (fs.FileInfo, error) { return nil, nil }
