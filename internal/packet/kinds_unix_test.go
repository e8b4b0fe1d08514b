//go:build unix

package packet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/packet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

func TestUDPConn(t *testing.T) {
	g := newGroup(t)
	c := packet.UDPConn{Conn: packet.New(g.inner, packet.Options{Gate: g.gate, Release: g.release, OnRead: func() {}})}
	b := make([]byte, 100)
	g.send(t, "one")
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil || string(b[:n]) != "one" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if _, err := c.WriteToUDPAddrPort([]byte("1"), from); err != nil {
		t.Error(err)
	}
	g.send(t, "two")
	n, _, _, addr, err := c.ReadMsgUDP(b, nil)
	if err != nil || string(b[:n]) != "two" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if _, _, err := c.WriteMsgUDP([]byte("2"), nil, addr); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"1", "2"} {
		if n, err := g.client.Read(b); err != nil || string(b[:n]) != want {
			t.Errorf("the client reads %q, %v", b[:n], err)
		}
	}
	if err := errors.Join(c.SetReadBuffer(1<<16), c.SetWriteBuffer(1<<16)); err != nil {
		t.Error(err)
	}
}

func TestUnixgram(t *testing.T) {
	path := filepath.Join(shortdir.Make(t), "s")
	inner := bind(t, "unixgram", path)
	open, never := make(chan struct{}), make(chan struct{})
	close(open)
	c := packet.New(inner, packet.Options{Group: "log", Gate: open, Release: never, OnRead: func() {}})
	defer func() { _ = c.Close() }()
	client, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, _, err := c.ReadFrom(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// TestDescriptorsOfStrangers: what a client sends along is closed, and nothing waits for that, nor for the socket.
func TestDescriptorsOfStrangers(t *testing.T) {
	path := filepath.Join(shortdir.Make(t), "s")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}) // as systemd has it, which refuses nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path + "c", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	rights := syscall.UnixRights(int(w.Fd()), int(w.Fd()))
	if _, _, err := client.WriteMsgUnix([]byte("hello"), rights, &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	open, never := make(chan struct{}), make(chan struct{})
	close(open)
	c := packet.New(socket.Packets{PacketConn: ln}, packet.Options{Group: "log", Gate: open, Release: never, OnRead: func() {}})
	defer func() { _ = c.Close() }()
	b := make([]byte, 10)
	if n, from, err := c.ReadFrom(b); err != nil || from.String() != path+"c" || string(b[:n]) != "hello" {
		t.Errorf("%q of %v, %v", b[:n], from, err)
	}
	if n, err := r.Read(b); err != io.EOF {
		t.Errorf("the other end of what was sent: %d, %v, want it closed", n, err)
	}
}
