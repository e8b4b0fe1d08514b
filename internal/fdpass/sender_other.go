//go:build unix && !linux

package fdpass

import "golang.org/x/sys/unix"

func senderOf(*unix.SocketControlMessage) (pid int, ok bool) { return 0, false }

// TellSender does nothing: it is known on Linux only.
func TellSender(int) {}
