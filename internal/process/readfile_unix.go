//go:build unix

package process

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errSymlink is the error of a file that may be none.
var errSymlink = errors.New("a symbolic link, which is not followed")

// openUnfollowed opens a file, and neither follows a symbolic link at the end of its path nor waits for the other
// end of a FIFO. What it returns is not in non-blocking mode for that.
func openUnfollowed(path string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, mode)
	if isLoop(err) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errSymlink}
	}
	return f, err
}

// openAtOnce opens a file for reading, and does not wait for the other end of a FIFO.
func openAtOnce(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// isLoop recognises what the systems say of a link that is not to be followed.
func isLoop(err error) bool {
	return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK)
}

// unlink is os.Remove, which would remove an empty directory too.
func unlink(path string) error {
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}
