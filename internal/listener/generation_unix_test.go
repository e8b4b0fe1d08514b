//go:build unix

package listener_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// generation is a Listener on a socket, closed at the end of the test.
func generation(t *testing.T, network string) *listener.Listener {
	t.Helper()
	ln := listener.New(raw(t, network), listener.Options{Group: "web", HandoverKey: "http web"})
	t.Cleanup(func() {
		ln.Close()
		ln.Drain(expired())
	})
	return ln
}

// adopt has ln adopt a new connection, and returns its client.
func adopt(t *testing.T, ln *listener.Listener, network string, state []byte) (client net.Conn) {
	t.Helper()
	inner := raw(t, network)
	server, client := pair(t, inner, to(inner))
	client.SetDeadline(time.Now().Add(30 * time.Second))
	own, err := succession.Duplicate(server.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := take(ln, own, state); err != nil {
		own.Close()
		t.Fatalf("Reserve = %v", err)
	}
	return client
}

// take has ln adopt c by the first way that there is.
func take(ln *listener.Listener, c net.Conn, state []byte) error {
	answered, err := ln.Arrivals().Reserve(ln.Arrivals().Keys()[0], c, state)
	if err == nil {
		answered(nil)
	}
	return err
}

// accepted sends the next connections of ln until its end.
func accepted(ln net.Listener) <-chan net.Conn {
	conns := make(chan net.Conn, 1000)
	go func() {
		defer close(conns)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	return conns
}

var eventually = require.Eventually

// send writes text.
func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// wantText wants text to be what comes next on c.
func wantText(t *testing.T, c net.Conn, text string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Errorf("read %q, %v, want %q", b, err, text)
	}
}

func wantEOF(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v, want io.EOF", n, err)
	}
}

// parked counts the goroutines that wait for an adopted connection's first byte.
func parked() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "listener.(*Arrivals).wait(")
}
