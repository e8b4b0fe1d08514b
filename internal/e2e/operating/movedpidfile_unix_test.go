//go:build unix

package operating

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestUpgradeMovesThePIDFile: whoever asks by the old path is told that the upgrade has succeeded, also where nobody waits for the drain, and
// whoever has found the daemon by it a moment before that it is not stopped.
func TestUpgradeMovesThePIDFile(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	for _, opts := range []client.UpgradeOptions{{}, {NoDrain: true}} {
		conf, err := os.ReadFile(d.Conf)
		if err != nil {
			t.Fatal(err)
		}
		old := d.PIDFile
		d.PIDFile = filepath.Join(d.Dir, "next-"+filepath.Base(old))
		moved := strings.Replace(string(conf), "pidfile "+filepath.Base(old), "pidfile "+filepath.Base(d.PIDFile), 1)
		if moved == string(conf) {
			t.Fatalf("no pidfile in %s", conf)
		}
		if err := os.WriteFile(d.Conf, []byte(moved), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := client.Dial(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		up, err := c.Upgrade(t.Context(), opts, nil)
		if err != nil || up.Served.PIDFile != d.PIDFile {
			t.Fatalf("Upgrade = %+v, %v", up, err)
		}
		if s, err := d.State(); err != nil || s.PID != up.Served.PID {
			t.Errorf("%s names %+v, %v, want pid %d", d.PIDFile, s, err, up.Served.PID)
		}
		if !opts.NoDrain {
			continue
		}
		// The one that was asked stands by. To stop it is no stop of the daemon.
		var gone *client.MovedError
		if a, err := c.Stop(t.Context()); !errors.As(err, &gone) || gone.To != d.PIDFile {
			t.Errorf("Stop = %+v, %v, want that the PID file is %s", a, err, d.PIDFile)
		}
	}
}

// TestTwoUpgradesWhoseFirstMovesThePIDFile: who asks while another upgrade goes on is asked for again of the generation that it brings up, also
// where that has other files.
func TestTwoUpgradesWhoseFirstMovesThePIDFile(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	next := movePIDFile(t, d)
	goOn, first := daemontest.Dawdle(t, d)
	waits, second := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := d.UpgradeTelling(t.Context(), func(e protocol.Event) {
			if e.Type == protocol.Waiting {
				close(waits)
			}
		})
		second <- err
	}()
	<-waits
	if err := daemon.Install(binaries.Mixed2(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	goOn()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil {
		t.Errorf("the second upgrade: %v", err)
	}
	d.PIDFile = next
	if s, err := d.State(); err != nil || s.Generation != 3 {
		t.Errorf("%s has %+v, %v, want generation 3", next, s, err)
	}
}

// movePIDFile has the next upgrade move the PID file, and returns its path then.
func movePIDFile(t *testing.T, d *daemon.Daemon) (next string) {
	t.Helper()
	conf, err := os.ReadFile(d.Conf)
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.Replace(string(conf), "pidfile "+filepath.Base(d.PIDFile), "pidfile next.pid", 1)
	if err := os.WriteFile(d.Conf, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(d.Dir, "next.pid")
}

// TestKilledAfterThePIDFileHasMoved kills the old generation when the new one serves, by another PID file: the upgrade has succeeded.
func TestKilledAfterThePIDFileHasMoved(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	next := movePIDFile(t, d)
	c, err := client.Dial(t.Context(), d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	up, err := c.Upgrade(t.Context(), client.UpgradeOptions{}, func(e protocol.Event) {
		if e.Type == protocol.Served {
			if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || up.Served.PIDFile != next {
		t.Errorf("Upgrade = %+v, %v", up, err)
	}
	d.PIDFile = next
	if s, err := d.State(); err != nil || s.Generation != 2 {
		t.Errorf("%s has %+v, %v, want generation 2", next, s, err)
	}
}
