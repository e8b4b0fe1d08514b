//go:build unix

package programs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// hold makes a file for which a hook waits until release is called.
func hold(t *testing.T, d *daemon.Daemon, file string) (release func()) {
	t.Helper()
	path := filepath.Join(d.Dir, file)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(path) }
}

// upgradeBySocket upgrades a daemon that does not look at its signals.
func upgradeBySocket(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), binaries.Gozdctl(t), "upgrade", "--no-wait-drain", d.PIDFile).CombinedOutput()
	if err == nil {
		_, err = d.State() // which is remembered
	}
	if err != nil {
		t.Fatalf("gozdctl upgrade: %v: %s", err, output)
	}
}

// TestRequestThatGetsThroughLate asks for an upgrade of a generation that is too busy to notice. When it does, it has been
// replaced long ago and has nothing else left to do.
func TestRequestThatGetsThroughLate(t *testing.T) {
	d := startHooked(t)
	release := hold(t, d, "hold-reopen")
	daemontest.SignalServing(t, d, syscall.SIGUSR1)
	awaitNotes(t, d, "reopened", "1\n")
	daemontest.SignalServing(t, d, syscall.SIGHUP)
	upgradeBySocket(t, d)
	time.Sleep(1500 * time.Millisecond) // longer than a request may be late that was sent after the replacement
	release()
	daemontest.Await(t, "generation 3", func() bool { s, err := d.State(); return err == nil && s.Generation == 3 })
}

// TestQuitThatGetsThroughLate is the same for the end of the daemon.
func TestQuitThatGetsThroughLate(t *testing.T) {
	d := startHooked(t)
	release := hold(t, d, "hold-reopen")
	daemontest.SignalServing(t, d, syscall.SIGUSR1)
	awaitNotes(t, d, "reopened", "1\n")
	daemontest.SignalServing(t, d, syscall.SIGQUIT)
	upgradeBySocket(t, d)
	release()
	daemontest.Await(t, "end", func() bool { _, err := process.Find(d.PIDFile); return errors.Is(err, process.ErrNotRunning) })
}

// TestLateSignalsDoNotKill sends to a generation that has been replaced, and whose program cleans up, what was meant for the
// daemon.
func TestLateSignalsDoNotKill(t *testing.T) {
	d := startHooked(t)
	old, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	release := hold(t, d, "linger")
	daemontest.Upgrade(t, d)
	awaitNotes(t, d, "ends", "1\n")
	time.Sleep(100 * time.Millisecond) // it has let go of its signals, most likely
	for range 3 {
		for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
			if err := syscall.Kill(old.PID, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	release()
	awaitNotes(t, d, "ended", "1\n")
}
