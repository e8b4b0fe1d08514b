//go:build unix

package packet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/packet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// group is a Conn with what decides about its reads, and a client.
type group struct {
	*packet.Conn
	inner         socket.Packets
	gate, release chan struct{}
	opened        int
	client        net.Conn
	woken         chan struct{} // gets something for each ReadFrom that has failed
}

// watched is a socket that tells of reads that fail.
type watched struct {
	*net.UDPConn
	woken chan struct{}
}

func (w watched) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := w.UDPConn.ReadFrom(b)
	if err != nil {
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}
	return n, addr, err
}

// newGroup returns one whose gate is open.
func newGroup(t *testing.T) *group {
	t.Helper()
	g := gated(t)
	close(g.gate)
	return g
}

func gated(t *testing.T) *group {
	t.Helper()
	g := &group{inner: bind(t, "udp", "127.0.0.1:0"), gate: make(chan struct{}), release: make(chan struct{}), woken: make(chan struct{}, 1)}
	g.Conn = packet.New(socket.Packets{PacketConn: watched{g.inner.PacketConn.(*net.UDPConn), g.woken}}, packet.Options{Group: "dns", Gate: g.gate, Release: g.release, OnRead: func() { g.opened++ }})
	client, err := net.Dial("udp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	g.client = client
	t.Cleanup(func() {
		_ = g.Close()
		_ = client.Close()
	})
	return g
}

func bind(t *testing.T, network, address string) socket.Packets {
	t.Helper()
	s, err := socket.Bind(network, address, socket.Options{Mode: 0o600, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s.(socket.Packets)
}

// dup is the socket as another generation has it.
func dup(t *testing.T, s socket.Packets) socket.Packets {
	t.Helper()
	f, err := s.PacketConn.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	other, err := socket.FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	return other.(socket.Packets)
}

func (g *group) send(t *testing.T, text string) {
	t.Helper()
	if _, err := g.client.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// reading is what a read comes to, in words.
func (g *group) reading() <-chan string {
	read := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n, _, err := g.ReadFrom(b)
		if err != nil {
			read <- kindOf(err)
			return
		}
		read <- string(b[:n])
	}()
	return read
}

func kindOf(err error) string {
	for _, known := range []error{net.ErrClosed, os.ErrDeadlineExceeded} {
		var op *net.OpError
		if errors.Is(err, known) && errors.As(err, &op) {
			return known.Error()
		}
	}
	return "unexpected: " + err.Error()
}

func want(t *testing.T, read <-chan string, text string) {
	t.Helper()
	select {
	case got := <-read:
		if got != text {
			t.Errorf("read %q, want %q", got, text)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("a read waits, want %q", text)
	}
}

// wantWaiting gives a read the time to come to something that it must not.
func wantWaiting(t *testing.T, read <-chan string) {
	t.Helper()
	select {
	case got := <-read:
		t.Fatalf("read %q, and should wait", got)
	case <-time.After(20 * time.Millisecond):
	}
}

const (
	closed = "use of closed network connection"
	late   = "i/o timeout"
)

func TestGate(t *testing.T) {
	g := gated(t)
	read := g.reading()
	g.send(t, "one")
	wantWaiting(t, read)
	close(g.gate)
	want(t, read, "one")
	g.send(t, "two")
	want(t, g.reading(), "two")
	if g.opened != 1 {
		t.Errorf("OnRead was called %d times", g.opened)
	}
}

func TestGateOfAStartThatFails(t *testing.T) {
	g := gated(t)
	read := g.reading()
	wantWaiting(t, read)
	g.StopAccepting()
	want(t, read, closed)
}

// TestDrain leaves what waits to another generation, and writes on.
func TestDrain(t *testing.T) {
	g := newGroup(t)
	draining := g.Draining()
	read := g.reading()
	wantWaiting(t, read)
	g.StopAccepting()
	g.StopAccepting() // again
	<-draining
	<-g.woken // until then it may get what comes, and answer it
	g.send(t, "for the successor")
	wantWaiting(t, read)
	g.AwaitDrained(t.Context())

	successor := dup(t, g.inner)
	b := make([]byte, 100)
	n, from, err := successor.ReadFrom(b)
	if err != nil || string(b[:n]) != "for the successor" {
		t.Fatalf("the successor reads %q, %v", b[:n], err)
	}
	if _, err := g.WriteTo([]byte("late answer"), from); err != nil {
		t.Error(err)
	}
	if n, err := g.client.Read(b); err != nil || string(b[:n]) != "late answer" {
		t.Errorf("the client reads %q, %v", b[:n], err)
	}
	close(g.release)
	want(t, read, closed)
}

func TestResume(t *testing.T) {
	g := newGroup(t)
	if err := g.Resume(dup(t, g.inner)); !errors.Is(err, packet.ErrNotDraining) {
		t.Errorf("Resume of one that reads = %v", err)
	}
	before := g.Draining()
	g.StopAccepting()
	read := g.reading()
	g.send(t, "one")
	wantWaiting(t, read)
	again := dup(t, g.inner)
	if err := g.Resume(again); err != nil {
		t.Fatal(err)
	}
	want(t, read, "one")
	if err := again.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a socket that was not needed: %v, want it closed", err)
	}
	select {
	case <-g.Draining():
		t.Error("it drains after a resume")
	case <-before:
	}
}

// TestEmptyQueue reads what waits on an address that nobody else has, closes it, and resumes on another socket.
func TestEmptyQueue(t *testing.T) {
	g := newGroup(t)
	g.send(t, "one")
	g.send(t, "two")
	g.EmptyQueue()
	g.StopAccepting()
	if err := g.Resume(dup(t, g.inner)); !errors.Is(err, packet.ErrNotDraining) {
		t.Errorf("Resume while the queue is emptied = %v", err)
	}
	want(t, g.reading(), "one")
	want(t, g.reading(), "two")
	read := g.reading()
	g.AwaitDrained(t.Context())
	wantWaiting(t, read)
	if err := g.inner.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket when its queue is empty: %v, want it closed", err)
	}
	if err := g.Resume(bind(t, "udp", g.Addr().String())); err != nil {
		t.Fatal(err)
	}
	g.send(t, "three")
	want(t, read, "three")
}

// TestQueueThatNobodyReads is emptied in bounded time.
func TestQueueThatNobodyReads(t *testing.T) {
	g := newGroup(t)
	g.send(t, "one")
	g.EmptyQueue()
	g.StopAccepting()
	g.AwaitDrained(t.Context())
}

func TestAwaitDrained(t *testing.T) {
	g := newGroup(t)
	g.AwaitDrained(t.Context()) // nothing drains
	g.EmptyQueue()
	g.StopAccepting()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.AwaitDrained(ctx)
}

// TestDeadlines has the program's deadline count at all times, and be the only one that the program sees.
func TestDeadlines(t *testing.T) {
	for name, prepare := range map[string]func(*group){
		"gated":    func(*group) {},
		"reading":  func(g *group) { close(g.gate) },
		"draining": func(g *group) { close(g.gate); g.StopAccepting() },
		"emptying": func(g *group) { close(g.gate); g.EmptyQueue(); g.StopAccepting() },
	} {
		t.Run(name, func(t *testing.T) {
			g := gated(t)
			prepare(g)
			read := g.reading()
			if err := g.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			want(t, read, late)
			want(t, g.reading(), late)
			if err := g.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			wantWaiting(t, g.reading())
		})
	}
}

func TestClose(t *testing.T) {
	g := newGroup(t)
	read, drained := g.reading(), g.Closed()
	wantWaiting(t, read)
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	<-drained
	want(t, read, closed)
	want(t, g.reading(), closed)
	for _, err := range []error{g.Close(), g.SetDeadline(time.Now())} {
		if err == nil || kindOf(err) != closed {
			t.Errorf("after Close: %v", err)
		}
	}
	if g.Reopen() {
		t.Error("Reopen of one that does not drain")
	}
	g.StopAccepting()
	if err := g.Resume(dup(t, bind(t, "udp", "127.0.0.1:0"))); !errors.Is(err, packet.ErrNotDraining) {
		t.Errorf("Resume of one that is closed = %v", err)
	}
	if !g.Reopen() {
		t.Fatal("no Reopen")
	}
	if err := g.Resume(bind(t, "udp", g.Addr().String())); err != nil {
		t.Fatal(err)
	}
	g.send(t, "hello")
	want(t, g.reading(), "hello")
}

// TestRawRead reads by the descriptor, as golang.org/x/net and others do: it waits like ReadFrom.
func TestRawRead(t *testing.T) {
	g := newGroup(t)
	raw, err := g.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	g.StopAccepting() // first: a read that has begun may get what comes before it is woken
	read := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		var n int
		var readErr error
		err := raw.Read(func(fd uintptr) bool {
			n, _, readErr = syscall.Recvfrom(int(fd), b, 0)
			return !errors.Is(readErr, syscall.EAGAIN)
		})
		read <- fmt.Sprint(string(b[:n]), err, readErr)
	}()
	g.send(t, "one")
	wantWaiting(t, read)
	if err := g.Resume(dup(t, g.inner)); err != nil {
		t.Fatal(err)
	}
	want(t, read, "one<nil> <nil>")
}
