//go:build unix

package operating

import (
	"errors"
	"os"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestLockIsRootsAgain has a successor fail that has given the lock to the user that it was to become.
func TestLockIsRootsAgain(t *testing.T) {
	require.Root(t)
	testLockAfterAFailure(t, func(lock string) error { return os.Chown(lock, 12345, 12345) })
}

// TestLockIsTakenAnew has a successor fail that has got as far as to remove the lock's file, since its configuration has another PID file.
func TestLockIsTakenAnew(t *testing.T) { testLockAfterAFailure(t, os.Remove) }

// testLockAfterAFailure does to the lock's file what a successor does, which then fails. Whoever asks finds the daemon by it afterwards.
func testLockAfterAFailure(t *testing.T, do func(lock string) error) {
	t.Helper()
	d := daemontest.Start(t, daemontest.WebAndLine)
	daemontest.Fault("exit early")(t, d)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := do(process.LockPath(d.PIDFile)); err != nil {
		t.Fatal(err)
	}
	failed := (*client.UpgradeError)(nil)
	if _, err := client.At(d.PIDFile, s.PID).Upgrade(within(t), client.UpgradeOptions{}, nil); !errors.As(err, &failed) {
		t.Fatalf("upgrade: %v, want that it failed", err)
	}
	if s := status(t, d); s.Upgrades.Failed != 1 {
		t.Errorf("upgrades %+v, want one that failed", s.Upgrades)
	}
	wantOneInstance(t, d)
}

func wantOneInstance(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if lock, err := process.Acquire(d.PIDFile); err == nil {
		lock.Leave()
		t.Error("nobody holds the lock: a second instance could start")
	}
}
