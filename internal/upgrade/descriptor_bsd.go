//go:build unix && !linux

package upgrade

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// replaceDescriptor makes newfd a duplicate of oldfd, closed on exec. macOS has
// no dup3, so nothing may be forked between the two steps.
func replaceDescriptor(oldfd, newfd int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Dup2(oldfd, newfd); err != nil {
		return err
	}
	unix.CloseOnExec(newfd)
	return nil
}
