//go:build unix

package protocols

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

const echoGroup = "[echo]\nmode udp\nlisten 127.0.0.1:0\n"

func startEcho(t *testing.T, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	d := daemontest.Prepare(t, binaries.UDP(t), groups, options...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// questioner sends one datagram after the other, none twice, and wants one answer to each.
type questioner struct {
	conn net.Conn
	n    int
}

func newQuestioner(t *testing.T, to load.Target) *questioner {
	t.Helper()
	var from net.Addr
	if to.Network == "unixgram" { // nobody can answer one without a name
		from = &net.UnixAddr{Name: filepath.Join(shortdir.Make(t), "s"), Net: to.Network}
	}
	conn, err := (&net.Dialer{LocalAddr: from}).Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &questioner{conn: conn}
}

func (a *questioner) ask() (answer string, err error) {
	if err := a.send(); err != nil {
		return "", err
	}
	return a.receive()
}

func (a *questioner) send() error {
	a.n++
	_, err := fmt.Fprintf(a.conn, "question %d", a.n)
	return err
}

func (a *questioner) receive() (answer string, err error) {
	b := make([]byte, 1<<10)
	if err := a.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	n, err := a.conn.Read(b)
	if err != nil {
		return "", fmt.Errorf("question %d: %w", a.n, err)
	}
	if answer = string(b[:n]); !strings.HasSuffix(answer, fmt.Sprintf(": question %d", a.n)) {
		return "", fmt.Errorf("question %d is answered %q", a.n, answer)
	}
	return answer, nil
}

// askAll has 16 clients ask until stop is called, and fail the test unless each question is answered once. The sum of
// questions on their way fits into the smallest buffer of a socket.
func askAll(t *testing.T, to load.Target) (stop func() int) {
	t.Helper()
	var clients sync.WaitGroup
	var over atomic.Bool
	var answered atomic.Int64
	for range 16 {
		a := newQuestioner(t, to)
		clients.Go(func() {
			for !over.Load() {
				if _, err := a.ask(); err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	stop = sync.OnceValue(func() int {
		over.Store(true)
		clients.Wait()
		return int(answered.Load())
	})
	t.Cleanup(func() { stop() })
	return stop
}

// TestDatagrams upgrades under load: each datagram is answered once.
func TestDatagrams(t *testing.T) {
	for name, listen := range map[string]string{"udp": "127.0.0.1:0", "unixgram": "unix:echo.sock"} {
		t.Run(name, func(t *testing.T) {
			d := startEcho(t, "[echo]\nmode udp\nlisten "+listen+"\n")
			to := daemontest.Target(t, d, "echo")
			if to.Network != name {
				t.Fatalf("network %s", to.Network)
			}
			start, stop := time.Now(), askAll(t, to)
			for range 20 {
				upgradeByControl(t, d)
			}
			n := stop()
			t.Logf("%d answers, %.0f a second, over 20 upgrades", n, float64(n)/time.Since(start).Seconds())
			if answer, err := newQuestioner(t, to).ask(); err != nil || !strings.HasPrefix(answer, "generation 21: ") {
				t.Errorf("afterwards: %q, %v", answer, err)
			}
		})
	}
}

// TestDatagramsOfAFailedUpgrade has successors fail under load.
func TestDatagramsOfAFailedUpgrade(t *testing.T) {
	require.Linux(t)
	const timeout = "upgrade_timeout 5s"
	d := startEcho(t, echoGroup, timeout)
	stop := askAll(t, daemontest.Target(t, d, "echo"))
	for groups, words := range map[string]string{
		echoGroup + "[other]\nmode udp\nlisten 127.0.0.1:0\n": "group other is not being accepted on",
		"[web]\nmode udp\nlisten 127.0.0.1:0\n":               "no such group",
	} {
		if err := d.Configure(groups, timeout); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("an upgrade to a program that does not read from all of these ends with %v, want %q in it: %s", err, words, groups)
		}
	}
	if stop() == 0 {
		t.Error("nobody has asked")
	}
}

// TestDatagramsAfterAResume kills a successor: what waits meanwhile is answered by the parent.
func TestDatagramsAfterAResume(t *testing.T) {
	d := startEcho(t, echoGroup)
	a := newQuestioner(t, daemontest.Target(t, d, "echo"))
	for _, want := range []string{"generation 1: ", "generation 2: ", "generation 1: ", "generation 3: "} {
		if answer, err := a.ask(); err != nil || !strings.HasPrefix(answer, want) {
			t.Fatalf("%q, %v, want %s", answer, err, want)
		}
		switch want {
		case "generation 1: ":
			upgradeByControl(t, d)
		case "generation 2: ":
			daemontest.SignalServing(t, d, syscall.SIGKILL)
		}
	}
}

// TestDatagramsOfALeftAddress moves a group to another port: who has asked at the old one is answered.
func TestDatagramsOfALeftAddress(t *testing.T) {
	d := startEcho(t, echoGroup)
	old := daemontest.Target(t, d, "echo")
	var waiting []*questioner
	for range 16 {
		waiting = append(waiting, newQuestioner(t, old))
	}
	if err := d.Configure("[echo]\nmode udp\nlisten " + freeport.Address(t) + "\n"); err != nil {
		t.Fatal(err)
	}
	for _, a := range waiting {
		if err := a.send(); err != nil {
			t.Fatal(err)
		}
	}
	upgradeByControl(t, d)
	for _, a := range waiting {
		if _, err := a.receive(); err != nil {
			t.Error(err)
		}
	}
	answer, err := newQuestioner(t, daemontest.Target(t, d, "echo")).ask()
	if err != nil || !strings.HasPrefix(answer, "generation 2: ") {
		t.Errorf("at the new address: %q, %v", answer, err)
	}
}

// TestDatagramsOfAStreamsPath has a group listen where another process has a socket of streams.
func TestDatagramsOfAStreamsPath(t *testing.T) {
	d := daemontest.Prepare(t, binaries.UDP(t), "[echo]\nmode udp\nlisten unix:echo.sock\n")
	ln, err := net.Listen("unix", filepath.Join(d.Dir, "echo.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	err = d.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not one of datagrams") || !strings.Contains(err.Error(), "[echo]") {
		t.Errorf("start: %v", err)
	}
	if _, err := os.Stat(filepath.Join(d.Dir, "echo.sock")); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("unix", ln.Addr().String()); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
}
