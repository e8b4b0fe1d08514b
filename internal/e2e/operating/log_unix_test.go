//go:build unix

package operating

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// quietly starts a daemon without -v: what it logs is what an operator reads after a deploy.
func quietly(t *testing.T, program, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	daemon.AdoptOrphans()
	d := daemontest.Prepare(t, program, groups, options...)
	cmd := d.Command(t.Context())
	cmd.Args = []string{cmd.Args[0], "-c", d.Conf}
	if output, err := cmd.CombinedOutput(); err != nil || len(output) > 0 {
		t.Fatalf("start: %v: %q, want no word", err, output)
	}
	if _, err := d.State(); err != nil { // it ends with the test
		t.Fatal(err)
	}
	return d
}

var eventLine = regexp.MustCompile(`(?m)^\[GOZD(?:ERR)?\] .*level=(\w+) msg=(?:"([^"]*)"|(\S+)) generation=(\d+).*$`)

// wantLogged waits for a daemon's log to have these events since it had been read to seen, and no others; those of two processes come in
// any order. It returns how far it has read.
func wantLogged(t *testing.T, d *daemon.Daemon, seen int, want ...string) int {
	t.Helper()
	slices.Sort(want)
	daemontest.AwaitLog(t, d, "msg=") // a log at all
	var text string
	var got []string
	daemontest.Await(t, strings.Join(want, "; "), func() bool {
		text = d.LogText()
		got = nil
		for _, m := range eventLine.FindAllStringSubmatch(text[seen:], -1) {
			got = append(got, m[4]+" "+m[1]+" "+m[2]+m[3])
		}
		return len(got) >= len(want)
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
	return len(text)
}

// TestLogWithoutDetails has one line for each thing that becomes of a daemon, and none for how.
func TestLogWithoutDetails(t *testing.T) {
	d := quietly(t, binaries.Mixed(t), daemontest.WebAndLine)
	seen := wantLogged(t, d, 0, "1 INFO serving")
	daemontest.Upgrade(t, d)
	seen = wantLogged(t, d, seen, "1 INFO asked on the control socket", "2 INFO serving", "1 INFO upgraded", "1 INFO done")
	daemontest.UpgradeToCrash(t, d, "exit")
	seen = wantLogged(t, d, seen, "2 INFO asked on the control socket", "2 ERROR upgrade failed")
	daemontest.InstallGood(t, d)
	daemontest.SignalServing(t, d, syscall.SIGHUP)
	seen = wantLogged(t, d, seen, "2 INFO asked by a signal", "3 INFO serving", "2 INFO upgraded", "2 INFO done")
	if _, err := d.State(); err != nil {
		t.Fatal(err)
	}
	daemontest.SignalServing(t, d, syscall.SIGUSR1) // it reopens the log, which is nothing to tell
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLogged(t, d, seen, "3 INFO asked by a signal", "3 INFO done")
}

// TestLogOfARollback is of an upgrade that an operator takes back.
func TestLogOfARollback(t *testing.T) {
	d := quietly(t, binaries.Mixed(t), daemontest.WebAndLine, "probation 1m")
	seen := wantLogged(t, d, 0, "1 INFO serving")
	trial, outcome := daemontest.BeginTrial(t, d)
	seen = wantLogged(t, d, seen, "1 INFO asked on the control socket", "1 INFO successor on probation")
	if _, err := d.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.WantRolledBack(t, d, trial, outcome, "on request")
	wantLogged(t, d, seen, "1 INFO asked on the control socket", "2 INFO rolled back", "1 ERROR upgrade failed")
}

const ownGroup = "[web]\nmode http\nlisten 127.0.0.1:0\n"

// TestLogOfAServerShutDown is of a program that shuts down its own server in OnDrain: nothing is wrong.
func TestLogOfAServerShutDown(t *testing.T) {
	d := quietly(t, binaries.OwnServer(t), ownGroup)
	seen := wantLogged(t, d, 0, "1 INFO serving")
	daemontest.Upgrade(t, d)
	wantLogged(t, d, seen, "1 INFO asked on the control socket", "2 INFO serving", "1 INFO upgraded", "1 INFO done")
}

// TestLogOfAServerShutDownUnasked is of one that does so by itself: its generation could have served again.
func TestLogOfAServerShutDownUnasked(t *testing.T) {
	t.Setenv("OWNSERVER_BY_ITSELF", "yes")
	d := quietly(t, binaries.OwnServer(t), ownGroup)
	seen := wantLogged(t, d, 0, "1 INFO serving")
	conn, err := net.Dial("tcp", daemontest.Target(t, d, "web").Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	ask := func(path string) {
		t.Helper()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: web\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	ask("/") // generation 1 has this connection, and keeps it
	daemontest.SignalServing(t, d, syscall.SIGHUP)
	seen = wantLogged(t, d, seen, "1 INFO asked by a signal", "2 INFO serving", "1 INFO upgraded")
	if _, err := d.State(); err != nil { // it ends with the test
		t.Fatal(err)
	}
	ask("/shutdown")
	wantLogged(t, d, seen, "1 WARN the program has closed a group: this generation would not serve again", "1 INFO done")
}

// TestLogOfAResume is of a successor that dies when it serves.
func TestLogOfAResume(t *testing.T) {
	d := quietly(t, binaries.Mixed(t), daemontest.WebAndLine)
	seen := wantLogged(t, d, 0, "1 INFO serving")
	conn, err := net.Dial("tcp", daemontest.Target(t, d, "web").Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); err != nil { // half a request, so that generation 1 drains and stands by
		t.Fatal(err)
	}
	daemontest.Await(t, "connection of generation 1", func() bool {
		s, err := d.Status(t.Context())
		return err == nil && s.Generations[0].Groups[0].Open+s.Generations[0].Groups[1].Open == 1
	})
	daemontest.SignalServing(t, d, syscall.SIGHUP)
	seen = wantLogged(t, d, seen, "1 INFO asked by a signal", "2 INFO serving", "1 INFO upgraded")
	daemontest.SignalServing(t, d, syscall.SIGKILL)
	wantLogged(t, d, seen, "1 ERROR the successor has died: this generation tries to serve again", "1 WARN serving again")
}
