//go:build !unix

package process

import (
	"errors"
	"io/fs"
	"os"
)

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

// SetUmask does nothing.
func SetUmask(fs.FileMode) {}
