package fdpass

import "golang.org/x/sys/unix"

// TellSender has the kernel say of each message that comes by a socket who has sent it.
func TellSender(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }

// senderOf returns the PID in credentials (SO_PASSCRED, unix(7)), which the kernel has checked.
func senderOf(m *unix.SocketControlMessage) (pid int, ok bool) {
	cred, err := unix.ParseUnixCredentials(m)
	if err != nil {
		return 0, false
	}
	return int(cred.Pid), true
}
