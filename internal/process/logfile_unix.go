//go:build unix

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const logFlags = os.O_WRONLY | os.O_APPEND | os.O_CREATE

// openLogFile opens the file at path for appending. Whoever owns the directory can put a link there, or another
// name for any file: where that is not root, root opens only a regular file with one name, and follows only a link that none but root
// could have put there. A FIFO or device that an operator has chosen is as good as a file elsewhere.
func openLogFile(path string, mode fs.FileMode) (*os.File, error) {
	if unix.Geteuid() != 0 {
		return os.OpenFile(path, logFlags, mode)
	}
	if onlyRootWrites(filepath.Dir(path)) == nil {
		return openRootsLog(path, mode)
	}
	f, err := openUnfollowed(path, logFlags, mode)
	if err != nil {
		return nil, err
	}
	if err := isPlain(f); err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}

// openRootsLog opens a log in a directory of root's. A link is followed if it is root's own, to where root has it lead.
func openRootsLog(path string, mode fs.FileMode) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return os.OpenFile(path, logFlags|unix.O_NOFOLLOW, mode)
	}
	if uid, ok := owner(info); ok && uid != 0 {
		return nil, fmt.Errorf("%s is a link of user %d: %w", path, uid, fs.ErrPermission)
	}
	return os.OpenFile(path, logFlags, mode)
}

// isPlain checks a file that another user may have put where it is.
func isPlain(f *os.File) error {
	var st unix.Stat_t
	err := control(f, func(fd int) error { return unix.Fstat(fd, &st) })
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a regular file, in a directory that is not root's alone")
	case st.Nlink != 1:
		return fmt.Errorf("it has %d names, in a directory that is not root's alone: %w", st.Nlink, ErrUntrusted)
	}
	return control(f, func(fd int) error { return unix.SetNonblock(fd, false) })
}
