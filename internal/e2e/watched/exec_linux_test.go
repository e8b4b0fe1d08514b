package watched

import (
	"bytes"
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

// sigStop is SIGRTMIN+3, which the units in examples/deploy have systemd send.
const sigStop = syscall.Signal(37)

// newBinary installs a file that is another one for the supervisor.
func newBinary(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	must(t, daemon.Install(binaries.Watched(t), d.Binary))
}

// A stop by the signal that Go leaves blocked is graceful at every moment of an upgrade.
func TestStopWhileTheSupervisorRunsItsNextImage(t *testing.T) {
	for i := range 8 {
		d, cmd := supervised(t)
		newBinary(t, d)
		must(t, cmd.Process.Signal(syscall.SIGHUP))
		await(t, "upgraded", func() bool { return generation(d) == 2 })
		time.Sleep(time.Duration(i) * time.Millisecond / 2) // is what is tested: each time another moment
		must(t, cmd.Process.Signal(sigStop))
		if ws := ended(t, cmd); !ws.Exited() || ws.ExitStatus() != 0 {
			t.Errorf("the supervisor has ended with %v, want status 0", ws)
		}
		if text := d.LogText(); strings.Contains(text, "the supervisor is gone") || !strings.Contains(text, "cleanup of generation 2") {
			t.Errorf("the generation has not been asked to end:\n%s", text)
		}
	}
}

// TERM may end the supervisor at such a moment. The generations end then, too, and clean up.
func TestTermWhileTheSupervisorRunsItsNextImage(t *testing.T) {
	for i := range 8 {
		d, cmd := supervised(t)
		newBinary(t, d)
		must(t, cmd.Process.Signal(syscall.SIGHUP))
		await(t, "upgraded", func() bool { return generation(d) == 2 })
		pid := servingPID(t, d)
		time.Sleep(time.Duration(i) * time.Millisecond / 2) // as above
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		ws := ended(t, cmd)
		if ws.Signal() != syscall.SIGTERM && ws.ExitStatus() != 0 {
			t.Errorf("the supervisor has ended with %v", ws)
		}
		await(t, "gone", func() bool { daemon.ReapProcess(pid); return state(pid) == "" })
		if !strings.Contains(d.LogText(), "cleanup of generation 2") {
			t.Errorf("the generation has not cleaned up:\n%s", d.LogText())
		}
	}
}

// A request for a new log file waits while the supervisor runs its next image.
func TestReopenWhileTheSupervisorRunsItsNextImage(t *testing.T) {
	d, cmd := supervised(t)
	for i := range 8 {
		newBinary(t, d)
		upgrade(t, d, 1)
		time.Sleep(time.Duration(i) * time.Millisecond / 2) // as above
		must(t, os.Rename(d.Log, d.Log+"."+strconv.Itoa(i)))
		must(t, cmd.Process.Signal(syscall.SIGUSR1))
		await(t, "reopened", func() bool { _, err := os.Stat(d.Log); return err == nil })
	}
}

// An upgrade to the same file leaves the supervisor as it is: there is no moment in which it handles no signal.
func TestSupervisorStaysWithTheSameBinary(t *testing.T) {
	d, cmd := supervised(t)
	image := func() []byte { // its environment says what it has been started with
		t.Helper()
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "environ"))
		must(t, err)
		return env
	}
	before := image()
	upgrade(t, d, 3)
	must(t, cmd.Process.Signal(syscall.SIGHUP)) // it is heard after all that the generations have said
	await(t, "upgraded", func() bool { return generation(d) == 5 })
	if !bytes.Equal(before, image()) {
		t.Error("the supervisor has run its own binary once more")
	}
	newBinary(t, d)
	upgrade(t, d, 1)
	await(t, "at the new binary", func() bool { return !bytes.Equal(before, image()) })
}
