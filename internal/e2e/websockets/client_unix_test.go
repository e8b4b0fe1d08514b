//go:build unix

package websockets

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// patience is how long a client waits for what takes a machine with time for it an instant.
const patience = time.Minute

// groups are where the program serves.
const groups = "[web]\nmode http\nlisten 127.0.0.1:0\n[secure]\nmode https\nkey key.pem\ncert cert.pem\nmove_tls yes\nlisten 127.0.0.1:0\n"

func start(t *testing.T, options ...string) *daemon.Daemon {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	d := daemontest.Prepare(t, binary, groups, options...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// client is a user of a WebSocket. It knows what has to come next.
type client struct {
	*websocket.Conn
	door           string
	sent           int
	ticks, answers int
	generation     int // that answered last
}

func dial(t *testing.T, d *daemon.Daemon, group, door string) *client {
	t.Helper()
	return dialOver(t, d, group, door, func(c net.Conn) net.Conn { return c })
}

// dialOver is dial with something below TLS.
func dialOver(t *testing.T, d *daemon.Daemon, group, door string, over func(net.Conn) net.Conn) *client {
	t.Helper()
	to := daemontest.Target(t, d, group)
	dialer := websocket.Dialer{
		NetDial: func(string, string) (net.Conn, error) {
			c, err := net.Dial(to.Network, to.Address)
			if err != nil {
				return nil, err
			}
			return over(c), nil
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // whom it speaks to is not what is tested
		Subprotocols:    []string{"count"}, EnableCompression: strings.Contains(door, "compress"),
	}
	if strings.HasPrefix(door, "/xnet") || strings.Contains(door, "quiet") {
		dialer.WriteBufferSize = 1 << 20 // for messages of one frame
	}
	scheme := map[string]string{"web": "ws", "secure": "wss"}[group]
	ws, resp, err := dialer.DialContext(t.Context(), scheme+"://localhost"+door, map[string][]string{"Origin": {"http://localhost"}})
	if err != nil {
		t.Fatalf("%s: %v, %+v", door, err, resp)
	}
	t.Cleanup(func() { ws.Close() })
	return &client{Conn: ws, door: door}
}

// text is the message of a number: of a few bytes, of hundreds, or of ten thousands.
func text(n int) string {
	return fmt.Sprint(n) + strings.Repeat(" x", []int{0, 3, 60, 0, 200, 1500, 1, 0, 3000, 20_000}[n%10])
}

// send sends the next message, in several frames at times.
func (c *client) send() error {
	c.sent++
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if c.sent%5 == 0 {
		if err := c.WriteControl(websocket.PingMessage, []byte("ping"), time.Now().Add(patience)); err != nil {
			return err
		}
	}
	if c.sent%3 != 0 || strings.HasPrefix(c.door, "/xnet") { // which takes each frame for a message
		return c.WriteMessage(websocket.TextMessage, []byte(text(c.sent)))
	}
	w, err := c.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	for _, part := range strings.SplitAfterN(text(c.sent), "x", 4) {
		if _, err := w.Write([]byte(part)); err != nil {
			return err
		}
	}
	return w.Close()
}

// receive reads until the next answer has come, with all that has to come before.
func (c *client) receive() error {
	for {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		_, data, err := c.ReadMessage()
		if err != nil {
			return fmt.Errorf("%s after %d answers and %d ticks: %w", c.door, c.answers, c.ticks, err)
		}
		got := string(data)
		if tick, ok := strings.CutPrefix(got, "tick "); ok {
			if c.ticks++; tick != fmt.Sprint(c.ticks) {
				return fmt.Errorf("%s: tick %s, want %d", c.door, tick, c.ticks)
			}
			continue
		}
		c.answers++
		generation, rest, _ := strings.Cut(got, " ")
		if want := fmt.Sprintf("%d %s", c.answers, text(c.answers)); rest != want {
			return fmt.Errorf("%s: answer %.40q, want %.40q", c.door, got, want)
		}
		_, err = fmt.Sscan(generation, &c.generation)
		return err
	}
}

// ask sends a message and wants its answer, by that generation.
func (c *client) ask(t *testing.T, generation int) {
	t.Helper()
	if err := c.send(); err != nil {
		t.Fatal(err)
	}
	if err := c.receive(); err != nil {
		t.Fatal(err)
	}
	if c.generation != generation {
		t.Fatalf("%s: generation %d answers, want %d", c.door, c.generation, generation)
	}
}
