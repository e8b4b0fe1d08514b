//go:build unix

package websockets

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coder "github.com/coder/websocket"
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

// A state that is too long stays, and so does a WebSocket whose messages are compressed by what was in those before.
func TestWhatStays(t *testing.T) {
	d := start(t)
	large := dial(t, d, "secure", "/gorilla?large")
	large.ask(t, 1)
	to := daemontest.Target(t, d, "web")
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial(to.Network, to.Address) }}
	takeover, resp, err := coder.Dial(t.Context(), "ws://localhost/coder?takeover,quiet", &coder.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, CompressionMode: coder.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer takeover.CloseNow()
	if got := resp.Header.Get("Sec-Websocket-Extensions"); got != "permessage-deflate" {
		t.Fatalf("extensions %q, want permessage-deflate with context takeover", got)
	}
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "refusal", func() bool { return strings.Contains(d.LogText(), "stays: wsx: ") })
	for n := range 3 {
		large.ask(t, 1)
		message := strings.Repeat("abc", 1000)
		if err := takeover.Write(t.Context(), coder.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("1 %d %s", n+1, message)
		if _, got, err := takeover.Read(t.Context()); err != nil || string(got) != want {
			t.Fatalf("answer %.40q, %v, want %.40q", got, err, want)
		}
	}
}

// Who has come to a generation on probation goes back to its parent when that is rolled back.
func TestRollback(t *testing.T) {
	for _, group := range []string{"web", "secure"} {
		t.Run(group, func(t *testing.T) {
			d := start(t, "probation 1h")
			probation, outcome := daemontest.BeginTrial(t, d)
			var on *client
			daemontest.Await(t, "a client of the generation on probation", func() bool {
				on = dial(t, d, group, "/gorilla")
				if err := on.send(); err != nil {
					t.Fatal(err)
				}
				if err := on.receive(); err != nil {
					t.Fatal(err)
				}
				return on.generation == 2
			})
			if _, err := d.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			daemontest.WantRolledBack(t, d, probation, outcome, "")
			on.ask(t, 1)
		})
	}
}

// halving is a connection that holds back half of what is written, when it is told to.
type halving struct {
	net.Conn
	goOn atomic.Pointer[chan struct{}]
	held chan struct{} // has a value when it has held something back
}

func (h *halving) Write(b []byte) (int, error) {
	goOn := h.goOn.Swap(nil)
	if goOn == nil {
		return h.Conn.Write(b)
	}
	n, err := h.Conn.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	h.held <- struct{}{}
	<-*goOn
	m, err := h.Conn.Write(b[n:])
	return n + m, err
}

// A client in the middle of a record of TLS stays until that is complete, and moves after the message.
func TestRecordHasBegun(t *testing.T) {
	for _, door := range doors {
		t.Run(door[1:], func(t *testing.T) {
			d := start(t)
			h := &halving{held: make(chan struct{}, 1)}
			c := dialOver(t, d, "secure", door, func(conn net.Conn) net.Conn {
				h.Conn = conn
				return h
			})
			c.ask(t, 1)
			goOn := make(chan struct{})
			h.goOn.Store(&goOn)
			sent := make(chan error, 1)
			go func() { sent <- c.send() }()
			<-h.held
			daemontest.Upgrade(t, d)
			daemontest.Await(t, "refusal", func() bool { return strings.Contains(d.LogText(), "something is under way") })
			close(goOn)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if err := c.receive(); err != nil || c.generation != 1 {
				t.Fatalf("generation %d answers, %v, want 1", c.generation, err)
			}
			c.ask(t, 2)
		})
	}
}

// frame returns a frame, masked with zeros.
func frame(head byte, payload string) string {
	return string([]byte{head, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}) + payload
}

// raw sends bytes below the client's library, and wants an answer if it is to come.
func (c *client) raw(t *testing.T, bytes string, answered bool) {
	t.Helper()
	_ = c.NetConn().SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.NetConn(), bytes); err != nil {
		t.Fatal(err)
	}
	if !answered {
		return
	}
	if err := c.receive(); err != nil {
		t.Fatal(err)
	}
}

// begin begins a message of several frames, and finish ends it and begins the next one at the same time, which next ends.
func (c *client) begin(t *testing.T) (finish, next func()) {
	t.Helper()
	c.sent += 2
	whole := text(c.sent - 1)
	c.raw(t, frame(0x01, whole[:1]), false)
	whole = frame(0x80, whole[1:]) + frame(0x81, text(c.sent))
	cut := len(whole) - len(frame(0x81, text(c.sent)))/2
	return func() { t.Helper(); c.raw(t, whole[:cut], true) }, func() { t.Helper(); c.raw(t, whole[cut:], true) }
}

// awaitMove asks until that generation answers.
func (c *client) awaitMove(t *testing.T, generation int) {
	t.Helper()
	daemontest.Await(t, fmt.Sprintf("generation %d answers", generation), func() bool {
		if err := c.send(); err != nil {
			t.Fatal(err)
		}
		if err := c.receive(); err != nil {
			t.Fatal(err)
		}
		return c.generation == generation
	})
}

// A client in the middle of a message of several frames moves when it is complete, also if another has begun by then.
func TestMessageHasBegun(t *testing.T) {
	for _, group := range []string{"web", "secure"} {
		for _, door := range []string{"/gorilla", "/coder"} {
			t.Run(group+door, func(t *testing.T) {
				d := start(t)
				c, idle := dial(t, d, group, door), dial(t, d, group, door)
				finish, next := c.begin(t)
				daemontest.Upgrade(t, d)
				idle.awaitMove(t, 2) // the drain begins a moment after the upgrade is said to be done
				finish()
				if c.generation != 1 {
					t.Errorf("generation %d has put the message together, want 1", c.generation)
				}
				next()
				if c.generation != 2 {
					t.Errorf("generation %d has put the next message together, want 2", c.generation)
				}
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
			finish, next := kept.begin(t)
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
			next()
			kept.ask(t, 1)
			daemontest.Upgrade(t, d)
			kept.awaitMove(t, 3)
		})
	}
}

// The last record of each direction proves the keys. One of the largest size is not kept: it is followed by a ping and its pong.
func TestLargestRecordBefore(t *testing.T) {
	d := start(t)
	c := dial(t, d, "secure", "/gorilla?quiet")
	for range 49 { // crypto/tls begins with small records, for 128 KB
		c.ask(t, 1)
	}
	// gorilla writes what fits into its buffer of 4096 bytes behind room for a head of 14, and then the rest: that is one record.
	const answer = 4096 - 14 + 16<<10
	if err := c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", answer-len("1 50 ")))); err != nil {
		t.Fatal(err)
	}
	if _, data, err := c.ReadMessage(); err != nil || len(data) != answer {
		t.Fatalf("an answer of %d bytes, %v, want %d", len(data), err, answer)
	}
	c.sent++
	c.answers++
	pinged := false
	answerPing := c.PingHandler()
	c.SetPingHandler(func(data string) error {
		pinged = true
		return answerPing(data)
	})
	answered := make(chan error, 1)
	go func() { answered <- c.receive() }()
	daemontest.Upgrade(t, d)
	if err := d.WaitAlive(t.Context(), 1); err != nil { // it has moved before it says anything
		t.Fatal(err)
	}
	if err := c.send(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil || c.generation != 2 || !pinged {
		t.Errorf("generation %d answers, %v, after a ping %v, want 2 after one", c.generation, err, pinged)
	}
}
