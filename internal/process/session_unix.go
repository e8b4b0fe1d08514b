//go:build unix

package process

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// newSession has a child leave its starter's session, process group and
// terminal.
func newSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// manyDescriptors is how far CloseAllOnExec looks where it cannot know which there are: a chroot has perhaps neither directory.
const manyDescriptors = 4096

// CloseAllOnExec keeps every descriptor above the standard streams from the processes that this one starts and that are not
// given it: what a shell has open is root's, perhaps, and a pipe would not end before the daemon. In this process it stays open.
func CloseAllOnExec() {
	if closeRangeOnExec(3) == nil {
		return
	}
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		entries, err := os.ReadDir(dir) // this process's own: no more than its limit allows
		if err != nil {
			continue
		}
		for _, e := range entries {
			if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
				fdpass.CloseOnExec(fd)
			}
		}
		return
	}
	for fd := 3; fd < manyDescriptors; fd++ {
		fdpass.CloseOnExec(fd)
	}
}

// isPipe looks at a descriptor without making an os.File of it, which would
// close it one day.
func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// InForeground reports whether this process sits in the foreground of the terminal that is standard error. In the background, writing to a terminal
// with "tostop" stops a process (termios(3), TOSTOP).
func InForeground() bool {
	group, err := unix.IoctlGetInt(2, unix.TIOCGPGRP) // ENOTTY if that is no terminal, or not this session's
	return err == nil && group == unix.Getpgrp()
}
