package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// holdsLock reports whether a process has the lock of a lock file, by what the kernel says of its descriptors (proc_pid_fdinfo(5)). The error
// wraps fs.ErrPermission where this process may not look.
func holdsLock(pid int, lock fs.FileInfo) (bool, error) {
	fds, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return false, err
	}
	defer func() { _ = fds.Close() }()
	for {
		names, err := fds.Readdirnames(64)
		for _, name := range names {
			same, err := isFile(filepath.Join(fds.Name(), name), lock)
			if err != nil {
				return false, err
			}
			if same && hasFlock(pid, name) {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// isFile reports whether a descriptor in /proc is of a file. A file system that another user has mounted, and that may never answer, is not asked for
// it. The error is that of whoever may not look at descriptors of that process: root without CAP_SYS_PTRACE may list them, and no more. A file system
// may refuse a look, too, and that says nothing.
func isFile(fd string, file fs.FileInfo) (bool, error) {
	want, ok := file.Sys().(*syscall.Stat_t)
	var got unix.Statx_t
	if !ok || unix.Statx(unix.AT_FDCWD, fd, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &got) != nil {
		if _, err := os.Readlink(fd); errors.Is(err, fs.ErrPermission) {
			return false, err
		}
		return false, nil
	}
	return got.Ino == want.Ino && got.Dev_major == unix.Major(want.Dev) && got.Dev_minor == unix.Minor(want.Dev), nil
}

// hasFlock reports whether the file that a process has open as fd is locked by that: who has merely opened the file has not.
func hasFlock(pid int, fd string) bool {
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		return false
	}
	return showsFlock(info) || !tellsOfLocks()
}

func showsFlock(info []byte) bool {
	for line := range bytes.Lines(info) {
		if bytes.HasPrefix(line, []byte("lock:")) && bytes.Contains(line, []byte(" FLOCK ")) {
			return true
		}
	}
	return false
}

// tellsOfLocks reports whether the kernel tells of locks, by one of this process's own. gVisor's does not.
var tellsOfLocks = sync.OnceValue(func() bool {
	fd, err := unix.MemfdCreate("lock", unix.MFD_CLOEXEC)
	if err != nil {
		return true // as nearly all do
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return true
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	return err != nil || showsFlock(info)
})
