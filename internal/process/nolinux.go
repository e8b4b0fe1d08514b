//go:build !linux

package process

import (
	"errors"
	"fmt"
	"os"
)

// FindsChildren says whether FindChild works on this system.
const FindsChildren = false

// FindChild fails: there is no way to look without cgo that would have been tried.
func FindChild(variable string) (*Process, error) {
	return nil, fmt.Errorf("a child with %s in its environment: %w", variable, errors.ErrUnsupported)
}

// Scratch returns a new file without a name, to which every write appends.
func Scratch() (*os.File, error) {
	f, err := os.CreateTemp("", "gozd-stderr")
	if err != nil {
		return nil, err
	}
	name := f.Name()
	_ = f.Close()
	f, err = os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	_ = os.Remove(name)
	return f, err
}

// StartForUser calls start: there are no keyrings here, and no capabilities.
func StartForUser(start func() error) error { return start() }

// FreeScratch does nothing: the file is on a disk.
func FreeScratch(*os.File, int64) {}

func livesUnseen(int) bool { return false }

// IsEnding reports false: what the kernel does is not known.
func IsEnding(int) bool { return false }

// Namespaces returns nil: there are none here.
func Namespaces() map[string]string { return nil }
