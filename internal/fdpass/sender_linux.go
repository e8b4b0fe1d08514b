package fdpass

import "golang.org/x/sys/unix"

// senderOf returns the PID in credentials (SO_PASSCRED, unix(7)), which the kernel has checked.
func senderOf(m *unix.SocketControlMessage) (pid int, ok bool) {
	cred, err := unix.ParseUnixCredentials(m)
	if err != nil {
		return 0, false
	}
	return int(cred.Pid), true
}
