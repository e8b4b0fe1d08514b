//go:build unix

package listen_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// The connection of an adapter that has only what is public moves while it is idle, and the client notices
// nothing.
func TestIdleReaderMoves(t *testing.T) {
	old, next := serveEcho(t), serveEcho(t)
	client, err := net.Dial("tcp", old.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(30 * time.Second))
	say(t, client, "hello")
	old.MoveIdle(&succession.Heir{Next: next})
	old.Drain(t.Context())
	say(t, client, "are you still there")
	if old, next := old.Stats(), next.Stats(); old.Out != 1 || next.In != 1 {
		t.Errorf("the old generation has handed over %d connections, the next has adopted %d, want 1 and 1", old.Out, next.In)
	}
}

// serveEcho returns a listener on which echo is the adapter.
func serveEcho(t *testing.T) *listener.Listener {
	t.Helper()
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "echo", HandoverKey: "tcp echo"})
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	return ln
}

func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	fmt.Fprintln(c, line)
	if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != "you said "+line+"\n" {
		t.Fatalf("answer to %q = %q, %v", line, got, err)
	}
}
