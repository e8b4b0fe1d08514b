package operating

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestRequestsDuringAnUpgradeAreOneMore asks ten times while an upgrade goes on.
func TestRequestsDuringAnUpgradeAreOneMore(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	goOn, outcome := daemontest.Dawdle(t, d)
	for range 10 {
		daemontest.SignalServing(t, d, syscall.SIGHUP)
	}
	if err := daemon.Install(binaries.Mixed2(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	goOn()
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "generation 3", func() bool { s, err := d.State(); return err == nil && s.Generation == 3 })
	if up, err := d.Upgrade(t.Context()); err != nil || up.Served.Generation != 4 {
		t.Errorf("upgrade = %+v, %v, want generation 4", up, err)
	}
}

// TestStopDuringAnUpgrade stops a daemon whose next generation is being started: both
// end, and whoever waits for the upgrade is told.
func TestStopDuringAnUpgrade(t *testing.T) {
	require.Linux(t)
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		d := daemontest.Start(t, "[web]\nmode http\nlisten unix:web.sock\n")
		goOn, outcome := daemontest.Dawdle(t, d)
		if pids := daemontest.ProcessesOf(t, d); len(pids) != 2 {
			t.Errorf("processes %v, want two", pids)
		}
		daemontest.SignalServing(t, d, sig)
		if err := daemontest.WaitAlive(t, d, 0, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		failed := new(client.UpgradeError)
		if err := <-outcome; !errors.As(err, &failed) || failed.Stage != "" {
			t.Errorf("%v: upgrade = %v, want that it was given up", sig, err)
		}
		if pids := daemontest.ProcessesOf(t, d); len(pids) > 0 {
			t.Errorf("%v: processes %v have not ended", sig, pids)
		}
		goOn()
		_ = os.Remove(filepath.Join(d.Dir, "fault"))
		daemontest.WantNothingLeft(t, d)
	}
}

// TestStopAroundAnUpgrade has a stop come at any moment of an upgrade: the daemon is
// gone then, whichever generation it has reached.
func TestStopAroundAnUpgrade(t *testing.T) {
	require.Linux(t)
	const moments = 20
	for i := range moments {
		d := daemontest.Start(t, "[web]\nmode http\nlisten unix:web.sock\n")
		daemontest.SignalServing(t, d, syscall.SIGHUP)
		time.Sleep(time.Duration(i) * 2 * time.Millisecond) // an upgrade takes some twenty
		if _, err := control.Stop(t.Context(), d.PIDFile); err != nil {
			t.Errorf("stop %v after the upgrade began: %v", time.Duration(i)*2*time.Millisecond, err)
		}
		daemontest.Await(t, "end of all processes", func() bool { return len(daemontest.ProcessesOf(t, d)) == 0 })
		daemontest.WantNothingLeft(t, d)
	}
}
