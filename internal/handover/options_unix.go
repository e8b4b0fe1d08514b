//go:build unix

package handover

import (
	"os"
	"syscall"
)

// option is one of a socket's.
type option struct{ level, name int }

// keepOptions reads the options that net.FileConn sets to its own defaults (newTCPConn in package net), and
// returns what puts them back: they are the socket's, so the older generation's as well, whether its connection moves or
// not, and the program may have chosen them. A socket that has none of them, such as a Unix socket, refuses, and has nothing to put back.
func keepOptions(file *os.File) (restore func()) {
	raw, err := file.SyscallConn()
	if err != nil {
		return func() {}
	}
	values := make(map[option]int)
	_ = raw.Control(func(fd uintptr) {
		for _, o := range setByNet {
			if v, err := syscall.GetsockoptInt(int(fd), o.level, o.name); err == nil {
				values[o] = v
			}
		}
	})
	return func() {
		_ = raw.Control(func(fd uintptr) {
			for o, v := range values {
				_ = syscall.SetsockoptInt(int(fd), o.level, o.name, v)
			}
		})
	}
}
