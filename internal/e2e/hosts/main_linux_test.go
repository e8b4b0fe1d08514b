package hosts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// programs are the binaries that tests start, built once.
var programs struct{ mixed, logging, gozdctl string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gozd-hosts-")
	if err == nil {
		err = buildPrograms(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if status == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

func buildPrograms(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, p := range []struct {
		path   *string
		name   string
		folder string
	}{
		{&programs.mixed, "mixed", "examples/mixed"},
		{&programs.logging, "logging", "internal/testutil/logging"},
		{&programs.gozdctl, "gozdctl", "cmd/gozdctl"},
	} {
		*p.path = filepath.Join(dir, p.name)
		if err := daemon.Build(ctx, *p.path, p.folder, ""); err != nil {
			return err
		}
	}
	// The race detector sleeps for a second before a process ends; see internal/e2e.
	return os.Setenv("GORACE", "atexit_sleep_ms=0")
}

// asRoot is a test that only root can do.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		require.Missing(t, "this is not root")
	}
}

// tempDir is a directory with a short name, for the paths of sockets, that every user may enter.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gozd-") //nolint:usetesting // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// prepare makes a daemon of the program that is not started yet, with just this configuration, and
// sees to it that it ends with the test and has met no race. pidfile and log are relative to its directory.
func prepare(t *testing.T, program, pidfile, log, config string) *daemon.Daemon {
	t.Helper()
	d, err := daemon.New(tempDir(t), program, "")
	if err != nil {
		t.Fatal(err)
	}
	d.PIDFile, d.Log = filepath.Join(d.Dir, pidfile), filepath.Join(d.Dir, log)
	configure(t, d, config)
	t.Cleanup(func() { end(t, d) })
	return d
}

func end(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	text := d.LogText()
	if strings.Contains(text, "DATA RACE") {
		t.Error("the daemon has a data race")
	}
	if t.Failed() && len(text) < 1<<16 {
		t.Logf("the daemon's log:\n%s", text)
	}
}

// configure writes a configuration of which "PIDFILE" and "LOG" are the daemon's.
func configure(t *testing.T, d *daemon.Daemon, config string) {
	t.Helper()
	text := strings.NewReplacer("PIDFILE", d.PIDFile, "LOG", d.Log).Replace(config)
	if err := os.WriteFile(d.Conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func upgrade(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if _, err := d.Upgrade(t.Context()); err != nil {
		t.Fatalf("upgrade: %v", err)
	}
}

func target(t *testing.T, d *daemon.Daemon, group string) load.Target {
	t.Helper()
	tg, err := d.Target(group)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// eventually waits until it is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s it is not so that %s", what)
		}
	}
}
