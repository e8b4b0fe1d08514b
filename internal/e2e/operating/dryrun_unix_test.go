//go:build unix

package operating

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// TestDryRun has dry runs under load change nothing: the same generation serves, on the same connections, with the same files.
func TestDryRun(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine, "supervise yes")
	c := dialControl(t, d)
	held := loadtest.DialKeepAlive(t, daemontest.Target(t, d, "web"))
	defer held.Close()
	l := loadtest.StartLight(t, d)
	for range 3 {
		passed, err := c.DryRun(within(t), nil)
		if err != nil || passed.Generation != 2 || passed.PID == 0 || passed.PID == c.PID() || passed.Seconds <= 0 {
			t.Fatalf("dry run: %+v, %v, want that generation 2 was ready", passed, err)
		}
		if pid := held.Get(); pid != c.PID() {
			t.Errorf("pid %d has the held connection, want %d", pid, c.PID())
		}
	}
	if s := status(t, d); s.Generation != 1 || len(s.Generations) != 1 || s.Upgrades != (protocol.Upgrades{}) {
		t.Errorf("status %+v, want generation 1 alone, and no upgrade", s)
	}
	daemontest.Upgrade(t, d)
	daemontest.AwaitMoved(t, d, 1, "web") // it moves a moment after the upgrade is said to be done
	if pid := held.Get(); pid == c.PID() {
		t.Error("the held connection has not moved at the upgrade")
	}
	loadtest.End(t, l)
}

// TestDryRunFails tells what an upgrade would have met. An upgrade that is asked for meanwhile comes after it, and is one.
func TestDryRunFails(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine, "upgrade_timeout 2s")
	daemontest.Fault("hang")(t, d)
	c := dialControl(t, d)
	started, outcome := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := c.DryRun(within(t), func(e protocol.Event) {
			if e.Type == protocol.Started {
				close(started)
			}
		})
		outcome <- err
	}()
	<-started
	daemontest.InstallGood(t, d)
	daemontest.SignalServing(t, d, syscall.SIGHUP)
	failed := (*client.UpgradeError)(nil)
	if err := <-outcome; !errors.As(err, &failed) || failed.Stage != "ready" || !strings.HasPrefix(failed.Reason, "not ready after 2s: groups web, line") {
		t.Errorf("dry run: %v, want that it failed at ready", err)
	}
	daemontest.Await(t, "generation 2", func() bool {
		s, err := d.State()
		return err == nil && s.Generation == 2
	})
	if s := status(t, d); s.Upgrades.Failed != 0 || s.Upgrades.Succeeded != 1 {
		t.Errorf("upgrades %+v, want one, and that no dry run counts", s.Upgrades)
	}
}

// TestDryRunLeavesSocketsAlone has a dry run of a configuration that would open a Unix socket to everybody, and moves the other group to
// another host with the same port, as an upgrade can.
func TestDryRunLeavesSocketsAlone(t *testing.T) {
	const groups = "[web]\nmode http\nlisten unix:web.sock\nsocket_mode %s\n[line]\nmode tcp\nlisten %s\n"
	d := daemontest.Start(t, fmt.Sprintf(groups, "0600", "127.0.0.1:0"))
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.Listen["line"], "tcp "))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(fmt.Sprintf(groups, "0666", "0.0.0.0:"+port)); err != nil {
		t.Fatal(err)
	}
	if _, err := dialControl(t, d).DryRun(within(t), nil); err != nil {
		t.Errorf("dry run: %v", err)
	}
	info, err := os.Stat(filepath.Join(d.Dir, "web.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("after the dry run the socket has the mode %v, %v, want 0600", info.Mode(), err)
	}
	daemontest.Upgrade(t, d)
}
