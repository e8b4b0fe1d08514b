//go:build unix

package main

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// narrow makes a socket keep as little as it can.
func narrow(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) {
		for _, buffer := range []int{syscall.SO_SNDBUF, syscall.SO_RCVBUF} {
			if err == nil {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, buffer, 4096)
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// door serves browsers, over narrow connections. It returns the listener, and what dials it.
func door(t *testing.T, h *hall) (*listener.Listener, func() net.Conn) {
	t.Helper()
	below, err := (&net.ListenConfig{Control: narrow}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := listener.New(below, listener.Options{Group: "web"})
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.serveWeb(ln)
	}()
	t.Cleanup(func() {
		ln.Close()
		<-served
	})
	return ln, func() net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{Control: narrow}).DialContext(t.Context(), "tcp", below.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

// eventually waits until h has so many users whose lines are answered.
func (h *hall) eventually(t *testing.T, talking int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		now := h.talking
		h.mu.Unlock()
		if now == talking {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d users talk, want %d", now, talking)
		}
	}
}

// A message is not cut for a drain where its client reads later than others may: nothing could follow it.
func TestMessageIsReadLate(t *testing.T) {
	const asked = 300
	h := newHall(1)
	ln, dial := door(t, h)
	conf, err := websocket.NewConfig("ws://chat/ws", "http://chat/")
	if err != nil {
		t.Fatal(err)
	}
	ws, err := websocket.NewClient(conf, dial())
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	h.eventually(t, 1)
	if err := websocket.Message.Send(ws, strings.Repeat("/stats\n", 100)); err != nil {
		t.Fatal(err)
	}
	for range asked {
		if err := websocket.Message.Send(ws, "/stats"); err != nil {
			t.Fatal(err)
		}
	}
	ln.StopAccepting()
	h.eventually(t, 0)
	time.Sleep(2 * flushTime) // the client is later than others may be
	var all string
	for want := usage + strings.Repeat("* guest1.1: said 0, heard 0, moved 0, generation 1\n", 100+asked); all != want; {
		var got string
		if err := websocket.Message.Receive(ws, &got); err != nil || !strings.HasPrefix(want, all+got) {
			t.Fatalf("message %q, %v, after %d bytes", got, err, len(all))
		}
		all += got
	}
}

// Who asks for a WebSocket and gets none is no user: nobody waits for him in a drain.
func TestRefusedHandshake(t *testing.T) {
	h := newHall(1)
	_, dial := door(t, h)
	conn := dial()
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: http://elsewhere/\r\n\r\n")
	b := make([]byte, 100)
	if n, err := conn.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 403 ") {
		t.Errorf("answer %q, %v, want 403", b[:n], err)
	}
	h.eventually(t, 0)
}
