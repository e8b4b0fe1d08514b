//go:build unix

package socket_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func TestProbeOfAFreeAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(free)
	path := pathIn(t)
	for _, a := range [][2]string{
		{"tcp", free},
		{"tcp", ":" + port},
		{"tcp", "[::1]:" + port},
		{"tcp4", "0.0.0.0:" + port},
		{"tcp", "localhost:0"},
		{"unix", path},
		{"unix", fmt.Sprintf("@gozd-probe-%d", os.Getpid())},
	} {
		if err := socket.Probe(a[0], a[1]); err != nil {
			t.Errorf("Probe(%s, %s) = %v", a[0], a[1], err)
		}
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("there is a file at the path of the socket")
	}
}

// Each form of an address is in use where one of the others has it, as it is for Listen.
func TestProbeOfAnAddressInUse(t *testing.T) {
	local := listen(t, "tcp", "127.0.0.1:0", own).Addr().String()
	_, port, _ := net.SplitHostPort(local)
	path, name := pathIn(t), fmt.Sprintf("@gozd-probe-used-%d", os.Getpid())
	listen(t, "unix", path, own)
	listen(t, "unix", name, own)
	for _, a := range [][2]string{
		{"tcp", local},
		{"tcp", ":" + port},
		{"tcp4", "0.0.0.0:" + port},
		{"unix", path},
		{"unix", name},
	} {
		if err := socket.Probe(a[0], a[1]); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Probe(%s, %s) = %v, want EADDRINUSE", a[0], a[1], err)
		}
	}
}

func TestProbeLeavesAStaleSocket(t *testing.T) {
	path := pathIn(t)
	listen(t, "unix", path, own).Close() // which leaves the file
	if err := socket.Probe("unix", path); err != nil {
		t.Errorf("Probe = %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

func TestProbeOfAFileThatIsNoSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := socket.Probe("unix", path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Probe = %v, want EADDRINUSE", err)
	}
}
