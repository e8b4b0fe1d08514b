package handover_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

// TestOptionsStay has connections move and be refused, of which the program has changed options that package net sets by itself.
func TestOptionsStay(t *testing.T) {
	want := map[[2]int]int{
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY}:   0,
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE}:   0,
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}:  77,
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL}: 33,
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT}:   5,
	}
	options := func(c net.Conn, do func(fd, level, name, value int)) {
		raw, err := socket(t, c).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			for o, v := range want {
				do(int(fd), o[0], o[1], v)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(c net.Conn) {
		t.Helper()
		options(c, func(fd, level, name, value int) {
			if got, err := syscall.GetsockoptInt(fd, level, name); got != value || err != nil {
				t.Errorf("option %d of level %d = %d, %v, want %d", name, level, got, err, value)
			}
		})
	}
	for _, refuse := range []error{nil, errors.New("not today")} {
		server, _ := pair(t, "tcp")
		options(server, func(fd, level, name, value int) {
			if err := syscall.SetsockoptInt(fd, level, name, value); err != nil {
				t.Fatal(err)
			}
		})
		moved := make(chan net.Conn, 1)
		s := connect(t, receiver(t, func(_ string, c net.Conn, _ []byte) error {
			if refuse == nil {
				moved <- c
			}
			return refuse
		}))
		err := s.Move("web", nil, socket(t, server))
		if refuse == nil && err != nil || refuse != nil && !errors.Is(err, handover.ErrRefused) {
			t.Fatalf("Move = %v, want that it is taken unless %v", err, refuse)
		}
		if refuse != nil {
			check(server)
			continue
		}
		c := within(t, moved, "the new owner")
		check(c)
		c.Close()
	}
}
