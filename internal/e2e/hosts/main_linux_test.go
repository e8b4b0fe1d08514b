package hosts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

func TestMain(m *testing.M) { os.Exit(daemontest.RunLong(m)) }

// tempDir is a directory with a short name, for the paths of sockets, that every user may enter.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := shortdir.Make(t)
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
	daemontest.EndWithTest(t, d)
	return d
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

var eventually = require.Eventually
