package upgrade

import "golang.org/x/sys/unix"

// replaceDescriptor makes newfd a duplicate of oldfd, closed on exec.
func replaceDescriptor(oldfd, newfd int) error { return unix.Dup3(oldfd, newfd, unix.O_CLOEXEC) }
