package freeport_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// The kernel gives the port to no listener and no client that asks for any, while one that names it gets it.
func TestPortIsKeptForWhoNamesIt(t *testing.T) {
	address := freeport.Address(t)
	onlyThis := rangeOf(t, netip.MustParseAddrPort(address).Port())
	listen := net.ListenConfig{Control: onlyThis}
	if ln, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0"); err == nil {
		t.Errorf("somebody else listens on %s", ln.Addr())
		_ = ln.Close()
	}
	for range 2 { // a restart is allowed, too
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		dial := net.Dialer{ControlContext: func(_ context.Context, network, address string, c syscall.RawConn) error {
			return onlyThis(network, address, c)
		}}
		if c, err := dial.DialContext(t.Context(), "tcp", ln.Addr().String()); err == nil {
			t.Errorf("a client is given %s", c.LocalAddr())
			_ = c.Close()
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// rangeOf has the kernel choose one port only.
func rangeOf(t *testing.T, port uint16) func(network, address string, c syscall.RawConn) error {
	t.Helper()
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if outer := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, int(port)<<16|int(port))
		}); outer != nil {
			return outer
		}
		if errors.Is(err, unix.ENOPROTOOPT) {
			require.Missing(t, "IP_LOCAL_PORT_RANGE is not known (Linux 6.3)")
		}
		return err
	}
}
