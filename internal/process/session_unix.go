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
