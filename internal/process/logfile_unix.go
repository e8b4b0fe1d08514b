//go:build unix

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

const logFlags = os.O_WRONLY | os.O_APPEND

// openLogFile opens the file at path for appending. Whoever owns the directory can put a link there, or another
// name for any file: where that is not root, root opens only a regular file with one name, and follows only a link that none but root
// could have put there. A FIFO or device that an operator has chosen is as good as a file elsewhere; but nobody waits for
// somebody to read the FIFO.
func openLogFile(path string, uid int, mode fs.FileMode) (*os.File, error) {
	f, err := openLogAtOnce(path, uid, mode)
	if errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("%w (a FIFO that nobody reads, or no file at all)", err)
	}
	if err != nil {
		return nil, err
	}
	if err := control(f, func(fd int) error { return unix.SetNonblock(fd, false) }); err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}

// openLogAtOnce returns a file in non-blocking mode. One that is there is not opened as one to be made: in a sticky directory that all may write to the
// kernel refuses that for another user's (proc_sys_fs(5), protected_regular).
func openLogAtOnce(path string, uid int, mode fs.FileMode) (*os.File, error) {
	f, err := openLogWith(logFlags|unix.O_NONBLOCK, path, uid, mode)
	if errors.Is(err, fs.ErrNotExist) {
		return openLogWith(logFlags|unix.O_NONBLOCK|os.O_CREATE, path, uid, mode)
	}
	return f, err
}

func openLogWith(flags int, path string, uid int, mode fs.FileMode) (*os.File, error) {
	if unix.Geteuid() != 0 {
		return os.OpenFile(path, flags, mode)
	}
	dir, err := safepath.Walk(path, true)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(flags, mode)
	if err != nil || !dir.Shared {
		return f, err
	}
	if err := isPlain(f, uid, dir.Mover); err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}

// isPlain checks a file that another user may have put where it is. It has to be of the user uid, who is to write to it, or of the one who
// may have moved it there. A file of root's is that of a daemon that stays root, where several users may write, as in a temporary directory.
func isPlain(f *os.File, uid, mover int) error {
	var st unix.Stat_t
	err := control(f, func(fd int) error { return unix.Fstat(fd, &st) })
	owner := int(st.Uid)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a regular file, in a directory that is not root's alone")
	case st.Nlink != 1:
		return fmt.Errorf("it has %d names, in a directory that is not root's alone: %w", st.Nlink, ErrUntrusted)
	case owner == uid && uid > 0, owner == mover:
		return nil
	case owner != 0:
		return fmt.Errorf("it is user %d's, in a directory that is not root's alone: %w", owner, ErrUntrusted)
	case mover >= 0:
		return fmt.Errorf("it is root's, below a directory of user %d's, who may have moved it there: give it to that user, or have the log in a directory of root's: %w",
			mover, ErrUntrusted)
	case uid > 0:
		return fmt.Errorf("it is root's, where others may have moved it: give it to user %d: %w", uid, ErrUntrusted)
	}
	return nil
}
