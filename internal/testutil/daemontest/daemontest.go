package daemontest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// Prepare makes a daemon of the program that is not started yet, and sees to it
// that it ends with the test and has met no race.
func Prepare(t *testing.T, program, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	d, err := daemon.New(shortdir.Make(t), program, groups, options...)
	if err != nil {
		t.Fatal(err)
	}
	EndWithTest(t, d)
	return d
}

// logShown is how much of a daemon's log a test that fails shows, in bytes.
const logShown = 1 << 18

// EndWithTest stops a daemon at the end of its test, and looks in its log for races and for steps
// between phases that there are not.
func EndWithTest(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		log := d.LogText()
		if strings.Contains(log, "DATA RACE") {
			t.Errorf("the daemon has a data race")
		}
		if strings.Contains(log, `msg="no such transition"`) {
			t.Errorf("the daemon has gone from one phase to another as it must not")
		}
		if t.Failed() {
			t.Logf("the end of the daemon's log:\n%s", log[max(0, len(log)-logShown):])
		}
	})
}

// PrepareBare is [Prepare] with a configuration of its own: without a log file, which
// would take the output of a daemon in the foreground.
func PrepareBare(t *testing.T, groups string, options []string) *daemon.Daemon {
	t.Helper()
	d := Prepare(t, binaries.Mixed(t), groups)
	if len(options) == 0 || !strings.HasPrefix(options[0], "pidfile") {
		options = append([]string{"pidfile app.pid"}, options...)
	}
	text := "[gozd]\n" + strings.Join(options, "\n") + "\n" + groups
	if err := os.WriteFile(d.Conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return d
}

// Start starts a daemon of the program mixed.
func Start(t *testing.T, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	d := Prepare(t, binaries.Mixed(t), groups, options...)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// Begin starts a daemon by a command of the caller's.
func Begin(t *testing.T, d *daemon.Daemon, cmd *exec.Cmd, foreground bool) {
	t.Helper()
	daemon.AdoptOrphans()
	if !foreground {
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	} else {
		cmd.Args = append(cmd.Args, "-f")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		t.Cleanup(func() { <-ended }) // the context has killed it by then, if it is still there
	}
	Await(t, "state file", func() bool { _, err := d.State(); return err == nil })
}

// Target is where a group listens.
func Target(t *testing.T, d *daemon.Daemon, group string) load.Target {
	t.Helper()
	tg, err := d.Target(group)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// UpgradeByHUP is [Upgrade] as kill -HUP does it, which is told nothing: it waits until the next generation says that it serves.
func UpgradeByHUP(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	SignalServing(t, d, syscall.SIGHUP)
	Await(t, "next generation that serves", func() bool {
		s, err := d.Status(t.Context())
		return err == nil && s.Generation == before.Generation+1
	})
	if _, err := d.State(); err != nil { // it ends with the test
		t.Fatal(err)
	}
}

// Upgrade upgrades to the binary that is in place.
func Upgrade(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if _, err := d.Upgrade(t.Context()); err != nil {
		t.Fatalf("upgrade: %v", err)
	}
}
