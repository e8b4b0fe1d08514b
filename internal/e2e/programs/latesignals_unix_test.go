//go:build unix

package programs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
