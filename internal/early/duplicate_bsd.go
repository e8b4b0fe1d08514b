//go:build unix && !linux

package early

import "syscall"

func duplicate(fd, as int) error { return syscall.Dup2(fd, as) }
