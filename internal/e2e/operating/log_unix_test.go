//go:build unix

package operating

import (
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
func quietly(t *testing.T, options ...string) *daemon.Daemon {
	t.Helper()
	daemon.AdoptOrphans()
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.WebAndLine, options...)
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
	d := quietly(t)
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
	d := quietly(t, "probation 1m")
	seen := wantLogged(t, d, 0, "1 INFO serving")
	trial, outcome := daemontest.BeginTrial(t, d)
	seen = wantLogged(t, d, seen, "1 INFO asked on the control socket", "1 INFO successor on probation")
	if _, err := d.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.WantRolledBack(t, d, trial, outcome, "on request")
	wantLogged(t, d, seen, "1 INFO asked on the control socket", "2 ERROR rolled back", "2 ERROR start failed", "1 ERROR upgrade failed")
}

// TestLogOfAResume is of a successor that dies when it serves.
func TestLogOfAResume(t *testing.T) {
	d := quietly(t)
	seen := wantLogged(t, d, 0, "1 INFO serving")
	daemontest.Upgrade(t, d)
	daemontest.SignalServing(t, d, syscall.SIGKILL) // generation 1 stands by for three seconds
	wantLogged(t, d, seen, "1 INFO asked on the control socket", "2 INFO serving", "1 INFO upgraded",
		"1 ERROR the successor has died: this generation tries to serve again", "1 WARN serving again")
}
