//go:build unix

package process

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// openUnfollowed opens a file, and neither follows a symbolic link at the end of its path nor waits for the other
// end of a FIFO. What it returns is not in non-blocking mode for that.
func openUnfollowed(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return safepath.OpenFile(path, flag|unix.O_NONBLOCK, mode)
}

func unlink(path string) error { return safepath.Unlink(path) }

func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return safepath.OpenFile(path, flag, mode)
}

func rename(from, to string) error { return safepath.Rename(from, to) }
