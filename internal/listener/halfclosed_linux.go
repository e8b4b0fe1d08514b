package listener

import (
	"net"
	"syscall"
)

// isHalfClosed reports whether the client has said that it sends no more, whatever of it has still to be read (EPOLLRDHUP in epoll_ctl(2)).
func isHalfClosed(c net.Conn) bool {
	raw, err := rawConn(c)
	if err != nil {
		return false
	}
	watch, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(watch) }()
	events := make([]syscall.EpollEvent, 1)
	err = raw.Control(func(fd uintptr) {
		_ = syscall.EpollCtl(watch, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: syscall.EPOLLRDHUP})
		_, _ = syscall.EpollWait(watch, events, 0)
	})
	return err == nil && events[0].Events&syscall.EPOLLRDHUP != 0
}
