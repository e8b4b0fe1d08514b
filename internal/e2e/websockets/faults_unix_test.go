//go:build unix

package websockets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// everyone returns a client for each library in each group, who has been answered once.
func everyone(t *testing.T, d *daemon.Daemon) []*client {
	t.Helper()
	var clients []*client
	for _, group := range []string{"web", "secure"} {
		for _, door := range doors {
			c := dial(t, d, group, door)
			c.ask(t, 1)
			clients = append(clients, c)
		}
	}
	return clients
}

// Where the next generation resumes nothing, the library of this one begins anew, and no client notices.
func TestSuccessorWithoutResume(t *testing.T) {
	d := start(t)
	clients := everyone(t, d)
	binary, err := mute()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Install(binary, d.Binary); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "refusals", func() bool { return strings.Count(d.LogText(), "stays: ") == len(clients) })
	for range 5 {
		for _, c := range clients {
			c.ask(t, 1)
		}
	}
}

// begin begins a message of several frames, and finish ends it.
func (c *client) begin(t *testing.T) (finish func()) {
	t.Helper()
	for c.sent++; len(text(c.sent)) < 200; c.sent++ {
		if err := c.WriteMessage(websocket.TextMessage, []byte(text(c.sent))); err != nil {
			t.Fatal(err)
		}
		if err := c.receive(); err != nil {
			t.Fatal(err)
		}
	}
	whole := text(c.sent)
	frame := func(head byte, part string) {
		b := append([]byte{head, 0x80 | 126, byte(len(part) >> 8), byte(len(part)), 0, 0, 0, 0}, part...)
		_ = c.NetConn().SetWriteDeadline(time.Now().Add(patience))
		if _, err := c.NetConn().Write(b); err != nil {
			t.Fatal(err)
		}
	}
	frame(0x01, whole[:50])
	return func() {
		t.Helper()
		frame(0x80, whole[50:])
		if err := c.receive(); err != nil {
			t.Fatal(err)
		}
	}
}

// A client in the middle of a message of several frames moves when it is complete.
func TestMessageHasBegun(t *testing.T) {
	for _, group := range []string{"web", "secure"} {
		for _, door := range []string{"/gorilla", "/coder"} {
			t.Run(group+door, func(t *testing.T) {
				d := start(t)
				c := dial(t, d, group, door)
				finish := c.begin(t)
				daemontest.Upgrade(t, d)
				finish()
				if c.generation != 1 {
					t.Errorf("generation %d has put the message together, want 1", c.generation)
				}
				c.ask(t, 2)
			})
		}
	}
}

// A successor that dies takes its WebSockets along. The others stay with its parent, which serves again, and move to the next.
func TestSuccessorDies(t *testing.T) {
	for _, group := range []string{"web", "secure"} {
		t.Run(group, func(t *testing.T) {
			d := start(t)
			lost, kept := dial(t, d, group, "/gorilla"), dial(t, d, group, "/coder")
			lost.ask(t, 1)
			finish := kept.begin(t)
			die := filepath.Join(d.Dir, "die")
			if err := os.WriteFile(die, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			_, _ = d.Upgrade(t.Context()) // it may hear of the death already
			for lost.receive() == nil {
			}
			if err := os.Remove(die); err != nil {
				t.Fatal(err)
			}
			daemontest.Await(t, "the parent serves again", func() bool {
				s, err := d.Status(t.Context())
				return err == nil && s.Generation == 1
			})
			finish()
			kept.ask(t, 1)
			daemontest.Upgrade(t, d)
			kept.ask(t, 3)
		})
	}
}

// The last record of each direction proves the keys. One that was too long to be kept is followed by a ping and its pong.
func TestLongMessageBefore(t *testing.T) {
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			d := start(t)
			c := dial(t, d, "secure", door+map[bool]string{true: "&", false: "?"}[strings.Contains(door, "?")]+"quiet")
			for range 9 {
				c.ask(t, 1)
			}
			if n := len(text(c.sent)); n < 30_000 {
				t.Fatalf("the last message has %d bytes", n)
			}
			answered := make(chan error, 1)
			go func() { answered <- c.receive() }() // and answers pings
			daemontest.Upgrade(t, d)
			if err := d.WaitAlive(t.Context(), 1); err != nil { // it has moved before it says anything
				t.Fatal(err)
			}
			if err := c.send(); err != nil {
				t.Fatal(err)
			}
			if err := <-answered; err != nil || c.generation != 2 {
				t.Errorf("generation %d answers, %v, want 2", c.generation, err)
			}
		})
	}
}
