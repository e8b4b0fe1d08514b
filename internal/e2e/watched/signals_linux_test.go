package watched

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// newBinary installs another file in the place of the program's.
func newBinary(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	must(t, daemon.Install(binaries.Watched(t), d.Binary))
}

// A stop is graceful at every moment of an upgrade to another binary: there is none in which the supervisor handles no signal.
func TestStopAroundAnUpgrade(t *testing.T) {
	for i := range 8 {
		d, cmd := supervised(t)
		newBinary(t, d)
		must(t, cmd.Process.Signal(syscall.SIGHUP))
		await(t, "upgraded", func() bool { return generation(d) == 2 })
		time.Sleep(time.Duration(i) * time.Millisecond / 2) // is what is tested: each time another moment
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if ws := ended(t, cmd); !ws.Exited() || ws.ExitStatus() != 0 {
			t.Errorf("the supervisor has ended with %v, want status 0", ws)
		}
		if text := d.LogText(); strings.Contains(text, "the supervisor is gone") || !strings.Contains(text, "cleanup of generation 2") {
			t.Errorf("the generation has not been asked to end:\n%s", text)
		}
	}
}

// Nor is a request for a new log file lost, or one for an upgrade.
func TestReopenAndUpgradeAroundAnUpgrade(t *testing.T) {
	d, cmd := supervised(t)
	for i := range 4 {
		newBinary(t, d)
		upgrade(t, d, 1)
		time.Sleep(time.Duration(i) * time.Millisecond / 2) // as above
		must(t, os.Rename(d.Log, d.Log+"."+strconv.Itoa(i)))
		must(t, cmd.Process.Signal(syscall.SIGUSR1))
		await(t, "reopened", func() bool { _, err := os.Stat(d.Log); return err == nil })
		n := generation(d)
		newBinary(t, d)
		must(t, cmd.Process.Signal(syscall.SIGHUP))
		await(t, "upgraded", func() bool { return generation(d) == n+1 })
	}
}

// The supervisor stays the process that it is, whatever the generations run: it executes nothing that others have named.
func TestSupervisorKeepsItsBinary(t *testing.T) {
	d, cmd := supervised(t)
	exe := filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "exe")
	before, err := os.Stat(exe)
	must(t, err)
	for range 3 {
		newBinary(t, d)
		upgrade(t, d, 1)
		n := generation(d)
		must(t, cmd.Process.Signal(syscall.SIGHUP)) // it is heard after all that the generations have said
		await(t, "upgraded", func() bool { return generation(d) == n+1 })
	}
	serving, err := os.Stat(filepath.Join("/proc", strconv.Itoa(servingPID(t, d)), "exe"))
	must(t, err)
	now, err := os.Stat(exe)
	must(t, err)
	if !os.SameFile(before, now) || os.SameFile(before, serving) {
		t.Error("the supervisor has run another binary, or no generation has")
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if ws := ended(t, cmd); ws.ExitStatus() != 0 {
		t.Errorf("the supervisor has ended with %v", ws)
	}
}

// With "supervise no", which is for debuggers, the first process is generation 1.
func TestWithoutSupervisor(t *testing.T) {
	d := newDaemon(t, "watched", "supervise no")
	cmd := supervise(t, d)
	if pid := servingPID(t, d); pid != cmd.Process.Pid {
		t.Errorf("process %d serves, want %d, which has been started", pid, cmd.Process.Pid)
	}
	upgrade(t, d, 1)
	if ws := ended(t, cmd); ws.ExitStatus() != 0 {
		t.Errorf("the first process has ended with %v", ws)
	}
}
