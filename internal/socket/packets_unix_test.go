//go:build unix

package socket_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func bindPackets(t *testing.T, network, address string, opts socket.Options) socket.Packets {
	t.Helper()
	s, err := socket.Bind(network, address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := socket.Begin(s); err != nil {
		t.Fatal(err)
	}
	return s.(socket.Packets)
}

// TestBindPackets receives at once, and leaves the file of a Unix socket with its mode.
func TestBindPackets(t *testing.T) {
	path := pathIn(t)
	for network, address := range map[string]string{"udp": "127.0.0.1:0", "udp4": "0.0.0.0:0", "unixgram": path} {
		s := bindPackets(t, network, address, socket.Options{Mode: 0o620, UID: -1, GID: -1})
		to := s.Addr().String()
		if network == "udp4" {
			_, port, _ := net.SplitHostPort(to)
			to = "127.0.0.1:" + port
		}
		c, err := net.Dial(network, to)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		if n, _, err := s.ReadFrom(b); err != nil || string(b[:n]) != "hello" {
			t.Errorf("%s: read %q, %v", network, b[:n], err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := socket.Listen("udp", "127.0.0.1:0", own); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Listen on udp = %v", err)
	}
}

// TestPacketsInUse refuses what others have: the same address, and a file of a socket of the other type, which
// stays.
func TestPacketsInUse(t *testing.T) {
	taken := bindPackets(t, "udp", "127.0.0.1:0", own).Addr().String()
	grams, streams := pathIn(t), pathIn(t)
	bindPackets(t, "unixgram", grams, own)
	listen(t, "unix", streams, own)
	for _, tt := range []struct{ network, address, says string }{
		{"udp", taken, "address already in use"},
		{"unixgram", grams, "another process answers on it"},
		{"unixgram", streams, "another process has a socket of another type there, not one of datagrams"},
		{"unix", grams, "another process has a socket of another type there, not one of streams"},
	} {
		for name, err := range map[string]error{"Bind": second(socket.Bind(tt.network, tt.address, own)), "Probe": socket.Probe(tt.network, tt.address)} {
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s(%s, %s) = %v, want %s", name, tt.network, tt.address, err, tt.says)
			}
		}
	}
	free := pathIn(t)
	stale, err := net.Listen("unix", free)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close()
	bindPackets(t, "unixgram", free, own) // nobody answers on it, whatever it was
}

func second(_ socket.Socket, err error) error { return err }

// TestPacketsShareAPort has a group move from one host to all: both sockets have the port meanwhile.
func TestPacketsShareAPort(t *testing.T) {
	old := bindPackets(t, "udp", "127.0.0.1:0", own)
	_, port, _ := net.SplitHostPort(old.Addr().String())
	opts := own
	opts.SharePort = true
	if _, err := socket.Bind("udp4", "0.0.0.0:"+port, opts); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("before AllowSharing: %v", err)
	}
	if err := socket.AllowSharing(old, true); err != nil {
		t.Fatal(err)
	}
	bindPackets(t, "udp4", "0.0.0.0:"+port, opts)
}

// TestPacketsAreHadAlone takes over a socket that was bound as systemd binds: from then on nobody else can bind its address, as before anybody
// could.
func TestPacketsAreHadAlone(t *testing.T) {
	reusing := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	}}
	conn, err := reusing.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	thief, err := reusing.ListenPacket(t.Context(), "udp", conn.LocalAddr().String())
	if err != nil {
		t.Skip("the system shares no address: ", err)
	}
	_ = thief.Close()
	if err := socket.HaveAlone(socket.Packets{PacketConn: conn.(*net.UDPConn)}); err != nil {
		t.Fatal(err)
	}
	if thief, err = reusing.ListenPacket(t.Context(), "udp", conn.LocalAddr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("afterwards: %v, %v", thief, err)
	}
}

// The net package would bind a multicast address on all hosts, for everybody.
func TestMulticast(t *testing.T) {
	for _, address := range []string{"224.0.0.251:0", "[ff02::fb%lo]:0"} {
		if s, err := socket.Bind("udp", address, own); err == nil || !strings.Contains(err.Error(), "multicast") {
			t.Errorf("Bind(udp, %s) = %v, %v", address, s, err)
		}
	}
}
