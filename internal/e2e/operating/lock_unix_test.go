//go:build unix

package operating

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestUpgradesKeepTheUser has a daemon of root's asked to become another user's by an upgrade. Nothing of root's may be in that user's hands
// afterwards, also not for as long as the successor lived.
func TestUpgradesKeepTheUser(t *testing.T) {
	require.Root(t)
	for name, supervise := range map[string]string{"supervised": "yes", "alone": "no"} {
		t.Run(name, func(t *testing.T) {
			d := daemontest.Start(t, daemontest.WebAndLine, "supervise "+supervise)
			if err := d.Configure(daemontest.WebAndLine, "supervise "+supervise, "user 12345", "group 12346"); err != nil {
				t.Fatal(err)
			}
			c := dialControl(t, d)
			_, dryRun := c.DryRun(within(t), nil)
			_, upgrade := c.Upgrade(within(t), client.UpgradeOptions{}, nil)
			const want = "[gozd]: user 12345, group 12346: the daemon runs as user 0, group 0, and no upgrade changes that: restart it"
			for what, err := range map[string]error{"dry run": dryRun, "upgrade": upgrade} {
				if failed := (*client.UpgradeError)(nil); !errors.As(err, &failed) || failed.Stage != "configuration" || !strings.HasSuffix(failed.Reason, want) {
					t.Errorf("%s: %v, want that it failed at configuration: %s", what, err, want)
				}
			}
			for _, path := range []string{d.Dir, d.PIDFile, process.LockPath(d.PIDFile), process.StatePath(d.PIDFile)} {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || st.Gid != 0 {
					t.Errorf("%s is user %d's, group %d, want root's", path, st.Uid, st.Gid)
				}
			}
			wantOneInstance(t, d)
		})
	}
}

// TestLockIsTakenAnew has a successor fail that has got as far as to remove the lock's file, since its configuration has another PID file.
// Whoever asks finds the daemon by it afterwards.
func TestLockIsTakenAnew(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine)
	daemontest.Fault("exit early")(t, d)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(process.LockPath(d.PIDFile)); err != nil {
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
