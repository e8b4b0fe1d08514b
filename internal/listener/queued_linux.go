package listener

import "syscall"

// IsQueued reports whether a client waits in the queue of a listening socket, or a datagram in that of another one. Accept and reads do not say: they look at
// their deadline first, which may have passed while their goroutine had no processor. It is false of what is no socket.
func IsQueued(sock any) bool {
	s, ok := sock.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	queued := false
	_ = raw.Control(func(fd uintptr) { queued = isReadable(int(fd)) })
	return queued
}

// isReadable asks by epoll, as poll is not in the standard library.
func isReadable(fd int) bool {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(epoll) }()
	event := []syscall.EpollEvent{{Events: syscall.EPOLLIN}}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &event[0]); err != nil {
		return false
	}
	n, err := syscall.EpollWait(epoll, event, 0)
	return err == nil && n == 1 && event[0].Events&syscall.EPOLLIN != 0
}
