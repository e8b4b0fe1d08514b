package faults

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// movingSecure is a group whose connections move with their keys.
const movingSecure = daemontest.SecureGroup + "move_tls yes\n"

// loyal is a client that has one connection of TLS, and never another.
type loyal struct {
	*tls.Conn
	br *bufio.Reader
	h2 *http2.ClientConn // nil for HTTP/1.1
}

func dialLoyal(t *testing.T, to load.Target) *loyal {
	t.Helper()
	raw, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	conf := to.TLS.Clone()
	conf.ServerName = "localhost"
	conn := tls.Client(raw, conf)
	t.Cleanup(func() { conn.Close() })
	return &loyal{Conn: conn, br: bufio.NewReader(conn)}
}

// dialLoyal2 is dialLoyal for HTTP/2.
func dialLoyal2(t *testing.T, to load.Target) *loyal {
	t.Helper()
	to.TLS = to.TLS.Clone()
	to.TLS.NextProtos = []string{"h2"}
	l := dialLoyal(t, to)
	if err := l.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.h2, err = new(http2.Transport).NewClientConn(l.Conn); err != nil {
		t.Fatal(err)
	}
	return l
}

// errLast is returned with an answer that says that it is the last.
var errLast = errors.New("the answer says Connection: close")

// post returns the generation that has answered.
func (l *loyal) post() (generation string, err error) {
	l.SetDeadline(time.Now().Add(30 * time.Second))
	const body = "some words"
	req, err := http.NewRequest(http.MethodPost, "https://localhost/echo", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	var resp *http.Response
	if l.h2 != nil {
		resp, err = l.h2.RoundTrip(req)
	} else if err = req.Write(l); err == nil {
		resp, err = http.ReadResponse(l.br, req)
	}
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(resp.Body)
	if err == nil && string(got) != body {
		err = fmt.Errorf("status %s: %q", resp.Status, got)
	}
	if err == nil && resp.Close {
		err = errLast
	}
	return resp.Header.Get("X-Gozd-Generation"), err
}

func (l *loyal) wantBy(t *testing.T, generation string) {
	t.Helper()
	if got, err := l.post(); got != generation || err != nil {
		t.Fatalf("answer of generation %s, %v, want %s", got, err, generation)
	}
}

// startWithFaults starts a program that stops at the points of which there are files in a directory.
func startWithFaults(t *testing.T, program, groups string) (d *daemon.Daemon, faults string) {
	t.Helper()
	d = daemontest.Prepare(t, program, groups)
	faults = filepath.Join(d.Dir, "faults")
	if err := os.Mkdir(faults, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Env = []string{points.Dir + "=" + faults}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, faults
}

// TestMoveWhileTheSuccessorIsReplaced has a request end in the first generation when the second has been replaced, and has nothing to do any more, and
// the channel between the two has not gone to the third yet: the connection moves on all the same.
func TestMoveWhileTheSuccessorIsReplaced(t *testing.T) {
	d, faults := startWithFaults(t, buildWithFaults(t), movingSecure)
	c := dialLoyal(t, daemontest.Target(t, d, "secure"))
	c.wantBy(t, "1")
	if _, err := io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nsome "); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	second, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range []string{points.PassingOn, points.Draining} {
		if err := os.WriteFile(filepath.Join(faults, point), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	daemontest.Upgrade(t, d)
	for _, point := range []string{points.PassingOn, points.Draining} {
		mark := filepath.Join(faults, fmt.Sprintf("%s.%d", point, second.PID))
		daemontest.Await(t, "second generation at "+point, func() bool { _, err := os.Lstat(mark); return err == nil })
	}
	if _, err := io.WriteString(c, "words"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "some words" || err != nil || resp.Close {
		t.Errorf("answered %q, %v, the last one %v", body, err, resp.Close)
	}
	daemontest.Await(t, "move to the third generation", func() bool { got, err := c.post(); return err != nil || got == "3" })
	if err := os.RemoveAll(faults); err != nil {
		t.Fatal(err)
	}
	c.wantBy(t, "3")
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// TestStopWhileAConnectionIsBeingTaken stops a generation that cannot say that it has taken a connection: the one that it comes from may be stopped,
// with a channel that is full. The stop goes on.
func TestStopWhileAConnectionIsBeingTaken(t *testing.T) {
	d, faults := startWithFaults(t, buildWithFaults(t), movingSecure+"stop_timeout 1s\n")
	c := dialLoyal(t, daemontest.Target(t, d, "secure"))
	c.wantBy(t, "1")
	if err := os.WriteFile(filepath.Join(faults, points.Taking), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "second generation at the point", func() bool {
		marks, _ := filepath.Glob(filepath.Join(faults, points.Taking+".*"))
		return len(marks) == 1
	})
	if output, err := d.Command(t.Context(), "-s", "stop").CombinedOutput(); err != nil {
		t.Errorf("-s stop: %v: %s", err, output)
	}
	if err := d.WaitAlive(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

// TestOneOwnerOfKeys kills the new generation at each instant of a move. Until it has said that it takes a connection, the old one goes
// on with it. From then on nobody does: the old one cannot know what was written with the keys.
func TestOneOwnerOfKeys(t *testing.T) {
	program := buildWithFaults(t)
	for _, tt := range []struct {
		point string
		alive bool // the connection
	}{
		{points.HandingOver, true},
		{points.Taking, true},
		{points.Taken, false},
	} {
		for name, dial := range map[string]func(*testing.T, load.Target) *loyal{"HTTP/1.1": dialLoyal, "HTTP/2": dialLoyal2} {
			t.Run(tt.point+", "+name, func(t *testing.T) {
				d, faults := startWithFaults(t, program, movingSecure)
				c := dial(t, daemontest.Target(t, d, "secure"))
				c.wantBy(t, "1")
				if err := os.WriteFile(filepath.Join(faults, tt.point), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = d.Upgrade(t.Context()) }() // it may be told either
				var mark string
				daemontest.Await(t, "child at "+tt.point, func() bool {
					marks, _ := filepath.Glob(filepath.Join(faults, tt.point+".*"))
					if len(marks) == 1 {
						mark = marks[0]
					}
					return mark != ""
				})
				var child int
				if _, err := fmt.Sscan(strings.TrimPrefix(filepath.Ext(mark), "."), &child); err != nil {
					t.Fatal(err)
				}
				if !tt.alive { // what was said is read, and the connection is the child's
					daemontest.Await(t, "move", func() bool { return moved(t, d) == 1 })
				}
				signalTo(t, child, syscall.SIGKILL)
				awaitGone(t, child)
				_ = os.Remove(filepath.Join(faults, tt.point))
				if !tt.alive {
					if got, err := c.post(); err == nil || !isGone(err) && (c.h2 == nil || c.h2.CanTakeNewRequest()) {
						t.Errorf("answer of generation %q, %v, want the end", got, err)
					}
				}
				daemontest.AwaitLog(t, d, `msg="serving again"`)
				daemontest.Await(t, "answer that keeps its connection", func() bool {
					_, err := dialLoyal(t, daemontest.Target(t, d, "secure")).post()
					if err != nil && !errors.Is(err, errLast) {
						t.Fatal(err)
					}
					return err == nil
				})
				// Before, it would have been told to go. A client of HTTP/2 is told at once, and may have begun another request then.
				alive := tt.alive && (c.h2 == nil || c.h2.CanTakeNewRequest())
				if alive {
					c.wantBy(t, "1")
					c.wantBy(t, "1")
				}
				other := dial(t, daemontest.Target(t, d, "secure"))
				other.wantBy(t, "1")
				if _, err := d.Upgrade(t.Context()); err != nil {
					t.Fatal(err)
				}
				other.wantNewest(t, d)
				if alive {
					c.wantNewest(t, d)
				}
			})
		}
	}
}

// wantNewest wants the connection to move: the newest generation answers, soon.
func (l *loyal) wantNewest(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "answer of the newest generation", func() bool {
		got, err := l.post()
		if err != nil {
			t.Fatal(err)
		}
		return got == fmt.Sprint(s.Generation)
	})
}

func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// moved is how many connections generation 1 has given away.
func moved(t *testing.T, d *daemon.Daemon) uint64 {
	t.Helper()
	s, err := d.Status(t.Context())
	if err != nil {
		return 0
	}
	for _, g := range s.Generations {
		if g.Generation == 1 && len(g.Groups) > 0 {
			return g.Groups[0].MovedOut
		}
	}
	return 1 // it has drained, and ended
}

// TestKeysMoveBack has clients come during a probation: when it is rolled back, those of the new generation go on with the old one.
func TestKeysMoveBack(t *testing.T) {
	d := daemontest.Start(t, movingSecure, "probation 1m")
	to := daemontest.Target(t, d, "secure")
	before := dialLoyal(t, to)
	before.wantBy(t, "1")
	for range 2 {
		probation, outcome := daemontest.BeginTrial(t, d)
		var silent []net.Conn
		var clients []*loyal
		var byNew int
		for byNew < 3 {
			c := dialLoyal(t, to)
			got, err := c.post()
			if err != nil {
				t.Fatal(err)
			}
			if got != "1" {
				byNew++
			}
			clients = append(clients, c)
			quiet := dialLoyal(t, to)
			silent = append(silent, quiet)
			clients = append(clients, quiet)
		}
		if _, err := d.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		daemontest.WantRolledBack(t, d, probation, outcome, "rolled back on request")
		for _, c := range append(clients, before) {
			c.wantBy(t, "1")
		}
		t.Logf("%d clients, %d of them of the new generation, %d silent", len(clients), byNew, len(silent))
	}
	if err := d.Configure(movingSecure, "probation 10ms"); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d) // the parent's own configuration still has a minute
}

// TestKeysMoveIfBothSayYes has the key come and go: a client is told to go where its connection cannot move, and loses nothing.
func TestKeysMoveIfBothSayYes(t *testing.T) {
	d := daemontest.Start(t, movingSecure)
	to := daemontest.Target(t, d, "secure")
	for i, says := range []string{"yes", "no", "yes", "yes"} {
		c := dialLoyal(t, to)
		c.wantBy(t, fmt.Sprint(2*i+1))
		if err := d.Configure(daemontest.SecureGroup + "move_tls " + says + "\n"); err != nil {
			t.Fatal(err)
		}
		daemontest.Upgrade(t, d)
		last := []string{"yes", "yes", "no", "yes"}[i] // what the generation before says
		if says == "yes" && last == "yes" {
			c.wantNewest(t, d)
		} else {
			daemontest.Await(t, "last answer", func() bool {
				got, err := c.post()
				if err != nil && !errors.Is(err, errLast) || got != fmt.Sprint(2*i+1) {
					t.Fatalf("answer of generation %s, %v", got, err)
				}
				return err != nil
			})
		}
		daemontest.Upgrade(t, d) // to one that says the same
	}
}
