//go:build unix

package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// newSession has a child leave its starter's session, process group and
// terminal.
func newSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func closeOnExec(fd int) { unix.CloseOnExec(fd) }

// isPipe looks at a descriptor without making an os.File of it, which would
// close it one day.
func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
