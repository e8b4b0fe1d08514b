package daemontest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// Fault installs the program that fails as its file says.
func Fault(name string) func(*testing.T, *daemon.Daemon) {
	return func(t *testing.T, d *daemon.Daemon) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.Dir, "fault"), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := daemon.Install(binaries.Faulty(t), d.Binary); err != nil {
			t.Fatal(err)
		}
	}
}

// Replace puts a file of that content in the binary's place.
func Replace(content string, mode os.FileMode) func(*testing.T, *daemon.Daemon) {
	return func(t *testing.T, d *daemon.Daemon) {
		t.Helper()
		next := d.Binary + ".next"
		if err := os.WriteFile(next, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, d.Binary); err != nil {
			t.Fatal(err)
		}
	}
}

// InstallGood installs a program and a configuration that work.
func InstallGood(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if err := daemon.Install(binaries.Mixed2(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(WebAndLine, "upgrade_timeout 2s"); err != nil {
		t.Fatal(err)
	}
}

// Dawdle begins an upgrade whose process is being started until goOn is called.
func Dawdle(t *testing.T, d *daemon.Daemon) (goOn func(), outcome <-chan error) {
	t.Helper()
	result := make(chan error, 1)
	goOn = dawdle(t, d, func() {
		go func() {
			_, err := d.Upgrade(t.Context())
			result <- err
		}()
	})
	return goOn, result
}

// DawdleBySignal is [Dawdle] for an upgrade that SIGHUP asks for: nobody is told of its outcome.
func DawdleBySignal(t *testing.T, d *daemon.Daemon) (goOn func()) {
	t.Helper()
	return dawdle(t, d, func() { SignalServing(t, d, syscall.SIGHUP) })
}

func dawdle(t *testing.T, d *daemon.Daemon, ask func()) (goOn func()) {
	t.Helper()
	Fault("dawdle")(t, d)
	ask()
	dawdles := filepath.Join(d.Dir, "dawdles")
	Await(t, "process that is being started", func() bool { _, err := os.Stat(dawdles); return err == nil })
	return func() { _ = os.Remove(dawdles) }
}

// Crashes are the faults with which a program ends by itself. One that hangs would
// have the storm wait for upgrade_timeout.
var Crashes = []string{"exit early", "exit", "panic early", "panic", "panic in a goroutine"}

// UpgradeToOther installs the other one of two versions and upgrades to it.
func UpgradeToOther(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	version := []string{binaries.Mixed(t), binaries.Mixed2(t)}[before.Generation%2]
	if err := daemon.Install(version, d.Binary); err != nil {
		t.Fatal(err)
	}
	up, err := d.Upgrade(t.Context())
	if err != nil {
		t.Fatalf("upgrade from generation %d: %v", before.Generation, err)
	}
	if up.Served.Generation != before.Generation+1 {
		t.Errorf("generation %d follows generation %d", up.Served.Generation, before.Generation)
	}
}

// UpgradeToCrash installs a program that crashes and upgrades to it in vain.
func UpgradeToCrash(t *testing.T, d *daemon.Daemon, name string) {
	t.Helper()
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	Fault(name)(t, d)
	_, err = d.Upgrade(t.Context())
	failed := new(client.UpgradeError)
	if !errors.As(err, &failed) || failed.PID != before.PID {
		t.Fatalf("%s: upgrade returned %v, want a failure that pid %d outlives", name, err, before.PID)
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != before.PID {
		t.Errorf("%s: the PID file names %d, %v, want %d", name, pid, err, before.PID)
	}
}
