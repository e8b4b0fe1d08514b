package fdpass_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// Whoever sends a descriptor to a socket that refuses them, or to one that is accepted from it, is told so; what is without goes on.
func TestRefuse(t *testing.T) {
	if !require.KernelRefuses() {
		t.Skip("refusing descriptors needs Linux 6.16")
	}
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	raw, err := ln.(*net.UnixListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { fdpass.Refuse(int(fd)) })
	c, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, accepted := range []bool{false, true} {
		if accepted {
			s, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
		}
		if _, _, err := c.(*net.UnixConn).WriteMsgUnix([]byte("x"), unix.UnixRights(0), nil); !errors.Is(err, unix.EPERM) {
			t.Errorf("accepted %v: a descriptor is sent: %v, want EPERM", accepted, err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("accepted %v: %v", accepted, err)
		}
	}
}
