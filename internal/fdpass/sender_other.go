//go:build unix && !linux

package fdpass

import "golang.org/x/sys/unix"

func senderOf(*unix.SocketControlMessage) (pid int, ok bool) { return 0, false }
