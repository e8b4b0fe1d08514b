package faults

import (
	"errors"
	"os"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// inUse is what the program says in these tests, by log.Fatal.
const inUse = "listen tcp :6060: bind: address already in use"

// TestBadBinaryLeavesTheOldOneServing installs binaries that fail in every way at
// the start, one after the other on one daemon, under load.
func TestBadBinaryLeavesTheOldOneServing(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine, "upgrade_timeout 2s")
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	l := load.New(nil)
	loadtest.AddHTTP(l, daemontest.Target(t, d, "web"))
	loadtest.AddLines(l, daemontest.Target(t, d, "line"))
	l.Start(t.Context())

	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, d *daemon.Daemon)
		want   []string // in the daemon's words
	}{
		{"exits before gozd", daemontest.Fault("exit early"), []string{"start", "exit status 3"}},
		{"exits", daemontest.Fault("exit"), []string{"exit status 4"}},
		{"panics before gozd", daemontest.Fault("panic early"), []string{"start", "panic: early fault (main.early, main.go:"}},
		{"cannot bind a port of its own before gozd", daemontest.Fault("fatal early"), []string{"start", "exit status 1: ", inUse}},
		{"cannot bind a port of its own", daemontest.Fault("fatal"), []string{"start", "exit status 1: ", inUse}},
		{"panics", daemontest.Fault("panic"), []string{"panic: late fault", "main.late", "main.go:"}},
		{"panics in a goroutine", daemontest.Fault("panic in a goroutine"), []string{"panic: fault elsewhere", "main.late.func1"}},
		{"hangs before gozd", daemontest.Fault("hang early"), []string{"ready", "not ready after 2s"}},
		{"hangs", daemontest.Fault("hang"), []string{"ready", "not ready after 2s: groups web, line are not being accepted on"}},
		{"leaves a group out", daemontest.Fault("leave a group out"), []string{"not ready after 2s: group line is not being accepted on"}},
		{"is not to be found when its time is over", daemontest.Replace(hiding, 0o755), []string{"ready", "not ready after 2s"}},
		{"is no program", daemontest.Replace("#!/nowhere/at/all\n", 0o755), []string{"start", "no such file"}},
		{"is empty", daemontest.Replace("", 0o755), []string{"start", "exec format error"}},
		{"cannot be executed", daemontest.Replace("#!/bin/sh\n", 0o644), []string{"start", "permission denied"}},
		{"is not there", func(_ *testing.T, d *daemon.Daemon) { _ = os.Remove(d.Binary) }, []string{"start", "no such file"}},
		{"has a bad configuration", badConfig, []string{"configuration", "app.conf:4:", `[web]: unknown key "lisren" (did you mean "listen"?)`}},
	} {
		tt.damage(t, d)
		_, err := d.Upgrade(t.Context())
		failed := new(client.UpgradeError)
		if !errors.As(err, &failed) || failed.PID != before.PID {
			t.Errorf("%s: upgrade returned %v, want a failure that pid %d outlives", tt.name, err, before.PID)
			continue
		}
		for _, words := range tt.want {
			if !strings.Contains(failed.Error(), words) {
				t.Errorf("%s: the reason is %q, want %q in it", tt.name, failed, words)
			}
		}
		if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != before.PID {
			t.Errorf("%s: the PID file names %d, %v, want %d", tt.name, pid, err, before.PID)
		}
		loadtest.AwaitExchanges(t, l.Recorder(), 3)
	}

	daemontest.InstallGood(t, d)
	daemontest.Upgrade(t, d)
	loadtest.AwaitExchanges(t, l.Recorder(), 10)
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	loadtest.WantNoneFailed(t, l.Recorder())
}

// hiding is a program that has not its parent's variable in its environment, by which it would be known, until some time after it
// should have been ready.
const hiding = "#!/bin/sh\nexec env -u TABLEFLIP_HAS_PARENT_7DIU3 sh -c 'sleep 8; exec env TABLEFLIP_HAS_PARENT_7DIU3=yes sleep 60'\n"

func badConfig(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	daemontest.InstallGood(t, d)
	if err := os.WriteFile(d.Conf, []byte("[gozd]\npidfile app.pid\n[web]\nlisren 80\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
