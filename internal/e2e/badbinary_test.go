package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// TestBadBinaryLeavesTheOldOneServing installs binaries that fail in every way at
// the start, one after the other on one daemon, under load.
func TestBadBinaryLeavesTheOldOneServing(t *testing.T) {
	d := start(t, goodGroups, "upgrade_timeout 2s")
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	l := load.New(nil)
	httpClients(l, target(t, d, "web"))
	lineClients(l, target(t, d, "line"))
	l.Start(t.Context())

	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, d *daemon.Daemon)
		want   []string // in the daemon's words
	}{
		{"exits before gozd", fault("exit early"), []string{"start", "exit status 3"}},
		{"exits", fault("exit"), []string{"exit status 4"}},
		{"panics before gozd", fault("panic early"), []string{"exit status 2"}},
		{"panics", fault("panic"), []string{"panic: late fault", "main.late", "main.go:"}},
		{"panics in a goroutine", fault("panic in a goroutine"), []string{"panic: fault elsewhere", "main.late.func1"}},
		{"hangs before gozd", fault("hang early"), []string{"ready", "not ready after 2s"}},
		{"hangs", fault("hang"), []string{"ready", "not ready after 2s: groups web, line are not being accepted on"}},
		{"leaves a group out", fault("leave a group out"), []string{"not ready after 2s: group line is not being accepted on"}},
		{"is no program", install("#!/nowhere/at/all\n", 0o755), []string{"start", "no such file"}},
		{"is empty", install("", 0o755), []string{"start", "exec format error"}},
		{"cannot be executed", install("#!/bin/sh\n", 0o644), []string{"start", "permission denied"}},
		{"is not there", func(_ *testing.T, d *daemon.Daemon) { _ = os.Remove(d.Binary) }, []string{"start", "no such file"}},
		{"has a bad configuration", badConfig, []string{"configuration", "app.conf:4:", `[web]: unknown key "lisren" (did you mean "listen"?)`}},
	} {
		tt.damage(t, d)
		_, err := d.Upgrade(t.Context())
		failed := new(control.FailedError)
		if !errors.As(err, &failed) || failed.PID != before.PID {
			t.Errorf("%s: upgrade returned %v, want a failure that pid %d outlives", tt.name, err, before.PID)
			continue
		}
		for _, words := range tt.want {
			if !strings.Contains(failed.Reason, words) {
				t.Errorf("%s: the reason is %q, want %q in it", tt.name, failed.Reason, words)
			}
		}
		if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != before.PID {
			t.Errorf("%s: the PID file names %d, %v, want %d", tt.name, pid, err, before.PID)
		}
		awaitExchanges(t, l.Recorder(), 3)
	}

	good(t, d)
	upgrade(t, d)
	awaitExchanges(t, l.Recorder(), 10)
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	wantNoneFailed(t, l.Recorder())
}

const goodGroups = "[web]\nmode http\nlisten 127.0.0.1:0\n[line]\nmode tcp\nlisten 127.0.0.1:0\n"

// fault installs the program that fails as its file says.
func fault(name string) func(*testing.T, *daemon.Daemon) {
	return func(t *testing.T, d *daemon.Daemon) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.Dir, "fault"), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := daemon.Install(programs.faulty, d.Binary); err != nil {
			t.Fatal(err)
		}
	}
}

// install puts a file of that content in the binary's place.
func install(content string, mode os.FileMode) func(*testing.T, *daemon.Daemon) {
	return func(t *testing.T, d *daemon.Daemon) {
		t.Helper()
		next := d.Binary + ".next"
		if err := os.WriteFile(next, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, d.Binary); err != nil {
			t.Fatal(err)
		}
	}
}

func badConfig(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	good(t, d)
	if err := os.WriteFile(d.Conf, []byte("[gozd]\npidfile app.pid\n[web]\nlisren 80\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// good installs a program and a configuration that work.
func good(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if err := daemon.Install(programs.mixed2, d.Binary); err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(goodGroups, "upgrade_timeout 2s"); err != nil {
		t.Fatal(err)
	}
}
