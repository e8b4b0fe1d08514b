package socket_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// own leaves a Unix socket's owner alone.
var own = socket.Options{Mode: 0o660, UID: -1, GID: -1}

func listen(t *testing.T, network, address string, opts socket.Options) socket.Listener {
	t.Helper()
	ln, err := socket.Listen(network, address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// checkServes sends a word through a connection to ln.
func checkServes(t *testing.T, ln net.Listener) {
	t.Helper()
	go func() {
		c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			return // Accept waits until the listener is closed
		}
		defer c.Close()
		io.WriteString(c, "hello")
	}()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Errorf("received %q, %v", got, err)
	}
}

func TestListenTCP(t *testing.T) {
	for _, network := range []string{"tcp", "tcp4"} {
		ln := listen(t, network, "127.0.0.1:0", own)
		checkServes(t, ln)
		again, err := socket.Listen(network, ln.Addr().String(), own)
		if !errors.Is(err, syscall.EADDRINUSE) && !strings.Contains(err.Error(), "normally permitted") { // Windows' words
			t.Errorf("the second Listen = %v, %v, want EADDRINUSE", again, err)
		}
	}
}

func TestListenFails(t *testing.T) {
	tests := []struct{ network, address string }{
		{"tcp", "127.0.0.1:99999"},
		{"tcp", "127.0.0.1"},
		{"tcp4", "[::1]:0"},
		{"unix", ""},
		{"unix", strings.Repeat("/x", 100)},
		{"udp", "127.0.0.1:0"},
	}
	for _, test := range tests {
		ln, err := socket.Listen(test.network, test.address, own)
		if err == nil {
			ln.Close()
			t.Errorf("Listen(%s, %s) succeeded", test.network, test.address)
			continue
		}
		if !strings.Contains(err.Error(), "listen") {
			t.Errorf("Listen(%s, %s): %v", test.network, test.address, err)
		}
	}
}
