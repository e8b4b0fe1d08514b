package programs

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// patientGroup has requests take longer than a test at a stop.
const patientGroup = "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 1h\n"

// now is the generation that serves.
func now(t *testing.T, d *daemon.Daemon) *process.State {
	t.Helper()
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantCut checks that a connection has ended without an answer.
func wantCut(t *testing.T, conn net.Conn) {
	t.Helper()
	if n, answer, err := tell(conn, "hello"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("generation %d answers %q, %v, want that the connection is cut", n, answer, err)
	}
}

// wantNobody checks that clients are refused, that only files are left, and that the daemon can be started again, which removes them at its stop.
func wantNobody(t *testing.T, d *daemon.Daemon, last *process.State) {
	t.Helper()
	awaitUnlocked(t, d)
	if conn, err := net.Dial("tcp", strings.TrimPrefix(last.Listen["line"], "tcp ")); err == nil {
		_ = conn.Close()
		t.Error("somebody listens")
	}
	if pid, err := process.ReadPID(d.PIDFile); err != nil || pid != last.PID {
		t.Errorf("the PID file names %d, %v, want %d, which is gone", pid, err, last.PID)
	}
	for _, left := range []string{".state", ".lock"} {
		if _, err := os.Lstat(d.PIDFile + left); err != nil {
			t.Error(err)
		}
	}
	d.Env = append(d.Env, "OVERLAPPING=")
	start(t, d)
	wantServing(t, d, 1)
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(d.PIDFile + "*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}

// TestProcessEndsByItself has the program end each generation in turn: a new one, behind which its parent stands by, one that drains, and the
// last one, after which nobody serves. The supervisor ends as that one does.
func TestProcessEndsByItself(t *testing.T) {
	for how, status := range map[string]int{"exit": 3, "fatal": 1, "panic": 2, "return": 0} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			d := prepareOverlapping(t, "", patientGroup)
			cmd := d.Command(t.Context(), "-f")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			daemontest.Await(t, "state file", func() bool { _, err := d.State(); return err == nil })
			one := dialLine(t, d)
			daemontest.Upgrade(t, d)
			two := now(t, d)
			other := dialLine(t, d)
			_, _, _ = tell(dialLine(t, d), how)
			daemontest.AwaitEnd(t, two) // a panic closes the connection of its goroutine first
			wantCut(t, other)
			awaitServing(t, d, 1)
			wantServing(t, d, 1)

			daemontest.Upgrade(t, d)
			three := now(t, d)
			last := dialLine(t, d)
			if n, _ := say(t, one, "hello"); n != 1 {
				t.Errorf("generation %d has a connection of generation 1", n)
			}
			other = dialLine(t, d)
			_, _, _ = tell(one, how)
			if err := daemontest.WaitAlive(t, d, 1, 20*time.Second); err != nil {
				t.Error(err)
			}
			for _, conn := range []net.Conn{other, last} { // nothing has happened to them
				wantSaid(t, conn, "hello")
			}
			wantServing(t, d, 3)

			_, _, _ = tell(last, how)
			_ = cmd.Wait()
			wantCut(t, other)
			if got := cmd.ProcessState.ExitCode(); got != status {
				t.Errorf("the supervisor has ended with status %d, want %d", got, status)
			}
			wantNobody(t, d, three)
		})
	}
}

// TestProcessEndsAfterStandby: a parent that has nothing to drain ends after three seconds. When the new generation ends then, nobody serves.
func TestProcessEndsAfterStandby(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "", patientGroup)
	start(t, d)
	one := now(t, d)
	daemontest.Upgrade(t, d)
	daemontest.AwaitEnd(t, one)
	two := now(t, d)
	_, _, _ = tell(dialLine(t, d), "exit")
	daemontest.AwaitEnd(t, two)
	wantNobody(t, d, two)
}
