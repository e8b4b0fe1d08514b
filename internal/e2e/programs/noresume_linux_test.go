package programs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestProgramWithoutTheWayBack has let go of what only one process can have, and cannot take it back.
func TestProgramWithoutTheWayBack(t *testing.T) {
	d := startHooked(t)
	old := dialLine(t, d)
	daemontest.Upgrade(t, d)
	address := dialNow(t, d).RemoteAddr().String()
	strike(t, d, syscall.SIGKILL)
	daemontest.Await(t, "the daemon refuses clients", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close() // generation 1 has not stopped to accept yet
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	awaitUnlocked(t, d)
	if got := askLine(t, old); !strings.HasPrefix(got, "1 ") {
		t.Errorf("a client of generation 1 is answered %q", got)
	}
}

// awaitUnlocked waits until nobody holds the daemon's lock. A process that is killed has given up all it had only when the last of its
// threads has ended.
func awaitUnlocked(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	daemontest.Await(t, "the lock is free", func() bool {
		_, err := process.Find(d.PIDFile)
		return errors.Is(err, process.ErrNotRunning)
	})
}

// TestProgramFailsToResume has OnResume fail: nobody serves, and the daemon can be started again.
func TestProgramFailsToResume(t *testing.T) {
	d := startResuming(t, lineGroup)
	old := dialLine(t, d)
	if err := os.WriteFile(filepath.Join(d.Dir, "refuse-resume"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	address := dialNow(t, d).RemoteAddr().String()
	strike(t, d, syscall.SIGKILL)
	daemontest.Await(t, "the daemon refuses clients", func() bool {
		_, err := net.Dial("tcp", address)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	daemontest.AwaitLog(t, d, `msg="this generation cannot serve again: nobody serves" generation=1`)
	if got := askLine(t, old); !strings.HasPrefix(got, "1 ") {
		t.Errorf("a client of generation 1 is answered %q", got)
	}
	awaitUnlocked(t, d)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestStopWhileResuming asks the supervisor to end while the program takes back what it has let go of, which lasts.
func TestStopWhileResuming(t *testing.T) {
	d := startResuming(t, lineGroup, "supervise yes")
	one, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", one.PID))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "PPid:")
	supervisor, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Dir, "wait-resume"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	strike(t, d, syscall.SIGKILL)
	daemontest.Await(t, "OnResume is called", func() bool { return notes(t, d, "resumed") != "" })
	if err := syscall.Kill(supervisor, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := daemontest.WaitAlive(t, d, 0, 20*time.Second); err != nil { // upgrade_timeout is longer
		t.Error(err)
	}
}

// TestNothingIsLeftWithoutAWayBack has a successor die, and its parent's program refuse to serve again. The daemon ends, and leaves nothing.
func TestNothingIsLeftWithoutAWayBack(t *testing.T) {
	d := startResuming(t, "[line]\nmode tcp\nlisten unix:line.sock\n")
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Dir, "refuse-resume"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	strike(t, d, syscall.SIGKILL)
	daemontest.AwaitLog(t, d, `msg="this generation cannot serve again: nobody serves" generation=1`)
	daemontest.AwaitEnd(t, first)
	for _, pattern := range []string{"app.pid*", ".app.pid*", "line.sock"} {
		if left, err := filepath.Glob(filepath.Join(d.Dir, pattern)); err != nil || len(left) > 0 {
			t.Errorf("%q, %v is left", left, err)
		}
	}
}

// upgradeByGozdctl has gozdctl upgrade the daemon, and wait for the drain, for 30 s at most. It returns when generation 2 has told everybody that
// it serves, which its log says last.
func upgradeByGozdctl(t *testing.T, d *daemon.Daemon) (cmd *exec.Cmd, output *strings.Builder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd, output = exec.CommandContext(ctx, binaries.Gozdctl(t), "upgrade", d.PIDFile), new(strings.Builder)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	daemontest.AwaitLog(t, d, "msg=serving generation=2")
	daemontest.AwaitLog(t, d, "msg=upgraded generation=1") // it may not have been told yet
	return cmd, output
}

// TestWhoFollowsTheDrainIsTold has gozdctl wait for a drain that ends otherwise.
func TestWhoFollowsTheDrainIsTold(t *testing.T) {
	d := startResuming(t, lineGroup)
	dialLine(t, d)
	cmd, output := upgradeByGozdctl(t, d)
	victim := strike(t, d, syscall.SIGKILL)
	err := cmd.Wait() // at the end of its time it is killed, and that is no exit status 1
	one := awaitServing(t, d, 1)
	want := fmt.Sprintf("upgrade failed at serving: pid %d: it died after it had taken over: signal: killed; pid %d serves again\n", victim.PID, one.PID)
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(output.String(), want) || strings.Contains(output.String(), "upgraded") {
		t.Errorf("gozdctl upgrade: %v\n%swant in it\n%s", err, output, want)
	}
	status, err := exec.CommandContext(t.Context(), binaries.Gozdctl(t), "status", d.PIDFile).CombinedOutput()
	if err != nil || !strings.Contains(string(status), "serving") || !strings.Contains(string(status), "died after it had taken over") {
		t.Errorf("gozdctl status: %v\n%s", err, status)
	}
}

// TestWhoFollowsTheDrainIsToldThatNobodyServes has the successor die where its parent cannot serve again, be it that it stands by and
// fails to, or that it has never stood by and sees nothing of it.
func TestWhoFollowsTheDrainIsToldThatNobodyServes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(t *testing.T, options ...string) *daemon.Daemon
		want  string
	}{
		{"OnResume fails", func(t *testing.T, options ...string) *daemon.Daemon {
			t.Helper()
			d := startResuming(t, lineGroup, options...)
			if err := os.WriteFile(filepath.Join(d.Dir, "refuse-resume"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return d
		}, "it died after it had taken over: signal: killed; its parent cannot serve again: somebody else has it"},
		{"no OnResume", startHooked, "it had taken over, and has ended since"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.start(t)
			old := dialLine(t, d)
			cmd, output := upgradeByGozdctl(t, d)
			victim := strike(t, d, syscall.SIGKILL)
			awaitUnlocked(t, d)
			_ = old.Close() // the drain is over
			err := cmd.Wait()
			want := fmt.Sprintf("upgrade failed at lost: pid %d: %s; nobody serves\n", victim.PID, tt.want)
			if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(output.String(), want) || strings.Contains(output.String(), "upgraded") {
				t.Errorf("gozdctl upgrade: %v\n%swant in it\n%s", err, output, want)
			}
		})
	}
}
