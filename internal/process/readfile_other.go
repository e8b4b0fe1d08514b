//go:build !unix

package process

import (
	"io/fs"
	"os"
)

func openUnfollowed(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}

func openAtOnce(path string) (*os.File, error) { return os.Open(path) }

func unlink(path string) error { return os.Remove(path) }

func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}

func rename(from, to string) error { return os.Rename(from, to) }
