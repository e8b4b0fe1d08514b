package faults

import (
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestParentThatLooksLate has a generation become ready, be replaced and end while its
// parent gets no processor. The parent must find out then that its upgrade has succeeded, and
// not serve on beside the third generation.
func TestParentThatLooksLate(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	upgradeBehindABack(t, d, first.PID)
	if err := daemon.Install(binaries.Mixed2(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)

	if err := daemontest.WaitAlive(t, d, 2, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	signalTo(t, first.PID, syscall.SIGCONT)
	if err := daemontest.WaitAlive(t, d, 1, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if s, err := d.State(); err != nil || s.Generation != 3 {
		t.Errorf("the state is %+v, %v, want generation 3", s, err)
	}
	daemontest.Upgrade(t, d)
}

// upgradeBehindABack begins an upgrade and has the parent stopped from the moment on in which
// its successor goes to work until that one serves: so it asks by a signal, which needs no answer. The parent goes on with
// the test's end, if not before.
func upgradeBehindABack(t *testing.T, d *daemon.Daemon, parent int) {
	t.Helper()
	goOn := daemontest.DawdleBySignal(t, d)
	require.NoError(t, daemon.Freeze(parent))
	t.Cleanup(func() { _ = syscall.Kill(parent, syscall.SIGCONT) })
	goOn()
	daemontest.Await(t, "state of generation 2", func() bool { s, err := d.State(); return err == nil && s.Generation == 2 })
}

// TestParentThatLooksLateAtAProbation has a parent learn of its successor's probation
// when that one serves already. What it then says of itself must not last.
func TestParentThatLooksLateAtAProbation(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n", "probation 50ms")
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	upgradeBehindABack(t, d, first.PID)
	signalTo(t, first.PID, syscall.SIGCONT)
	if err := daemontest.WaitAlive(t, d, 1, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if s, err := d.State(); err != nil || s.Generation != 2 {
		t.Errorf("the state is %+v, %v, want generation 2", s, err)
	}
	if err := daemon.Install(binaries.Mixed(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
}
