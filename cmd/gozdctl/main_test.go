package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

var update = flag.Bool("update", false, "write testdata/status.golden anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ctl runs gozdctl.
func ctl(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	good, bad, unusable := filepath.Join(dir, "good.conf"), filepath.Join(dir, "bad.conf"), filepath.Join(dir, "unusable.conf")
	write(t, good, "[web]\nmode http\nlisten 127.0.0.1:8080\n")
	write(t, bad, "[web]\nmode http\nlistne 127.0.0.1:8080\n[api]\nmode htpt\nlisten :1\n")
	write(t, unusable, "[web]\nmode https\nlisten 127.0.0.1:8443\nkey key.pem\ncert cert.pem\n")
	pidfile := filepath.Join(dir, "app.pid")
	missing := filepath.Join(dir, "missing.conf")
	tests := []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string // what each begins with; "" is nothing at all
		also           string // what stderr has further on
	}{
		{"nothing", nil, 2, "", usage, ""},
		{"help", []string{"help"}, 0, usage, "", ""},
		{"-h", []string{"-h"}, 0, usage, "", ""},
		{"--help", []string{"--help"}, 0, usage, "", ""},
		{"unknown command", []string{"restart"}, 2, "", "gozdctl: unknown command \"restart\"\n", usage},
		{"upgrade what", []string{"upgrade"}, 2, "", "gozdctl: usage: it takes one PID file, and got 0 arguments\n", usage},
		{"status of two", []string{"status", "a", "b"}, 2, "", "gozdctl: usage: it takes one PID file, and got 2 arguments\n", usage},
		{"check what", []string{"check"}, 2, "", "gozdctl: usage: it takes one configuration file, and got 0 arguments\n", usage},
		{"good configuration", []string{"check", good}, 0, good + ": the configuration is good\n", "", ""},
		{"bad configuration", []string{"check", bad}, 1, "", "gozdctl: check: ", `unknown mode "htpt"`},
		{"key pair is missing", []string{"check", unusable}, 1, "", "gozdctl: check: " + unusable + ":1: [web]: cert ", "key.pem"},
		{"configuration is missing", []string{"check", missing}, 1, "", "gozdctl: check: configuration: ", missing},
		{"status of nothing", []string{"status", pidfile}, 1, "", "gozdctl: status: " + pidfile + ": not running (no PID file)\n", ""},
		{"upgrade of nothing", []string{"upgrade", pidfile}, 1, "", "gozdctl: upgrade: " + pidfile + ": not running (no PID file)\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, stdout, stderr := ctl(t, test.args...)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if !strings.HasPrefix(stdout, test.stdout) || test.stdout == "" && stdout != "" {
				t.Errorf("it prints %q, want %q", stdout, test.stdout)
			}
			if !strings.HasPrefix(stderr, test.stderr) || test.stderr == "" && stderr != "" || !strings.Contains(stderr, test.also) {
				t.Errorf("it complains %q, want %q...%q", stderr, test.stderr, test.also)
			}
		})
	}
}

// All mistakes are told at once, each on a line of its own.
func TestCheckTellsAll(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.conf")
	write(t, bad, "[web]\nmode http\nlistne 127.0.0.1:8080\n[api]\nmode htpt\nlisten :1\n")
	_, _, stderr := ctl(t, "check", bad)
	for _, want := range []string{`unknown key "listne" (did you mean "listen"?)`, "htpt"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("it complains %q, which lacks %q", stderr, want)
		}
	}
}

func TestUsageNamesEveryCommand(t *testing.T) {
	for name := range commands {
		if !strings.Contains(usage, "\n  "+name+" ") {
			t.Errorf("usage lacks %s", name)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// example is the state of a daemon that has seen much.
func example() *process.State {
	return &process.State{
		PID:         4711,
		Generation:  3,
		Since:       time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
		Binary:      "/opt/app/current/app",
		Config:      "/etc/app.conf",
		Listen:      map[string]string{"web": "tcp 0.0.0.0:443", "admin": "unix /run/app/admin.sock"},
		Failures:    2,
		LastFailure: "upgrade failed at listen: pid 4712: /etc/app.conf:7: [web]: listen tcp :443: permission denied",
	}
}

func TestStatusGolden(t *testing.T) {
	const golden = "testdata/status.golden"
	var got bytes.Buffer
	s := example()
	now := s.Since.Add(26*time.Hour + 3*time.Minute + 4567*time.Millisecond)
	if err := writeStatus(&got, s, now); err != nil {
		t.Fatal(err)
	}
	s.Failures = 0
	got.WriteString("\nwithout a failure:\n\n")
	if err := writeStatus(&got, s, now); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the status is\n%swant (-update writes it anew)\n%s", got.String(), want)
	}
}

// brokenPipe is standard output when nobody reads it any more.
type brokenPipe struct{}

var errBroken = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

func TestStatusCannotBePrinted(t *testing.T) {
	if err := writeStatus(brokenPipe{}, example(), time.Now()); !errors.Is(err, errBroken) {
		t.Errorf("writeStatus = %v, want %v", err, errBroken)
	}
	good := filepath.Join(t.TempDir(), "good.conf")
	write(t, good, "[web]\nmode http\nlisten 127.0.0.1:8080\n")
	if status := run(context.Background(), []string{"check", good}, brokenPipe{}, new(bytes.Buffer)); status != statusFailed {
		t.Errorf("status %d, want %d", status, statusFailed)
	}
}
