//go:build unix

package process

import (
	"fmt"
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

// openAtOnce opens a file for reading, and does not wait for the other end of a FIFO.
// Root follows only links that none but root could have put there, and where others can write reads nobody else's file by a second name.
func openAtOnce(path string) (*os.File, error) {
	dir, err := safepath.Walk(path, true)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil || !dir.Shared {
		return f, err
	}
	var st unix.Stat_t
	err = control(f, func(fd int) error { return unix.Fstat(fd, &st) })
	if err == nil && st.Nlink != 1 && int(st.Uid) != dir.Owner && st.Mode&unix.S_IFMT == unix.S_IFREG {
		err = &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is user %d's, with %d names: %w", st.Uid, st.Nlink, ErrUntrusted)}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func unlink(path string) error { return safepath.Unlink(path) }

func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return safepath.OpenFile(path, flag, mode)
}

func rename(from, to string) error { return safepath.Rename(from, to) }
