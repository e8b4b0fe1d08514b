package process

import "golang.org/x/sys/unix"

// livesUnseen reports whether a process that /proc does not show is one that this process may signal. It is looked at by a descriptor, to
// which one that has ended is no process any more, collected or not.
func livesUnseen(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	ended, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // descriptors are that small
	return err == nil && ended == 0 && unix.PidfdSendSignal(fd, 0, nil, 0) == nil
}
