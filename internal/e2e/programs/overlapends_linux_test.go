package programs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

// child is a child process of the program's.
func child(t *testing.T, conn net.Conn, when string) *process.State {
	t.Helper()
	_, answer := say(t, conn, "child "+when)
	pid, err := strconv.Atoi(answer)
	if err != nil {
		t.Fatal(err)
	}
	startTime, err := process.StartTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p, err := process.Open(pid, startTime); err == nil {
			_ = p.Signal(os.Kill)
			p.Close()
			daemon.ReapProcess(pid)
		}
	})
	return &process.State{PID: pid, StartTime: startTime}
}

// wantParent checks whose child a process is, which lives.
func wantParent(t *testing.T, s *process.State, parent int) {
	t.Helper()
	if !slices.Contains(daemon.Children(parent), s.PID) {
		t.Errorf("pid %d is no child of pid %d", s.PID, parent)
	}
}

// TestChildProcesses has generation 1 start some. They are its own as long as it drains, and the supervisor's after it, if they live still.
func TestChildProcesses(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "children", patientGroup, "supervise yes")
	start(t, d)
	one := now(t, d)
	conn := dialLine(t, d)
	left, onReplaced, atExit := child(t, conn, "never"), child(t, conn, "on replaced"), child(t, conn, "at exit")
	with := child(t, conn, "with this process")
	daemontest.Upgrade(t, d)
	two := now(t, d)
	daemontest.AwaitEnd(t, onReplaced)
	wantServing(t, d, 2)
	for _, s := range []*process.State{left, atExit, with} {
		wantParent(t, s, one.PID)
	}
	killed, orphan := child(t, dialLine(t, d), "with this process"), child(t, dialLine(t, d), "never")
	signalState(t, two, syscall.SIGKILL)
	daemontest.AwaitEnd(t, killed)
	awaitServing(t, d, 1)
	supervisor := parentOf(t, one)
	daemontest.Await(t, "orphan of the supervisor", func() bool { return slices.Contains(daemon.Children(supervisor), orphan.PID) })
	wantParent(t, atExit, one.PID)

	daemontest.Upgrade(t, d)
	_ = conn.Close()
	daemontest.AwaitEnd(t, one)
	daemontest.AwaitEnd(t, atExit)
	daemontest.AwaitEnd(t, with)
	wantParent(t, left, supervisor)
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if p, err := process.Open(left.PID, left.StartTime); err != nil {
		t.Errorf("after the stop: %v, want that nobody has ended pid %d", err, left.PID)
	} else {
		p.Close()
	}
}

// parentOf is a process's parent.
func parentOf(t *testing.T, s *process.State) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nPPid:")
	var parent int
	if _, err := fmt.Sscan(rest, &parent); err != nil {
		t.Fatal(err)
	}
	return parent
}

// TestOneWorker has one process that works for whatever generation serves, also where one is killed.
func TestOneWorker(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "worker", lineGroup)
	start(t, d)
	k := startTalk(t, d, "hello")
	want := func(generations ...int) {
		t.Helper()
		daemontest.Await(t, "worker", func() bool { return strings.Count(notes(t, d, "workers"), "begins") == len(generations) })
		var begun []int
		for line := range strings.Lines(notes(t, d, "workers")) {
			var generation int
			var does string
			if _, err := fmt.Sscan(line, &generation, &does); err != nil {
				t.Fatal(err)
			}
			if does == "begins" {
				begun = append(begun, generation)
			}
		}
		if !slices.Equal(begun, generations) {
			t.Errorf("workers of generations %v, want %v", begun, generations)
		}
	}
	want(1)
	daemontest.Upgrade(t, d)
	want(1, 2)
	k.more(t)
	k.end()
	daemontest.Upgrade(t, d)
	want(1, 2, 3)
	strike(t, d, syscall.SIGKILL)
	awaitServing(t, d, 2)
	want(1, 2, 3, 2)
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	begun, ended := strings.Count(notes(t, d, "workers"), "begins"), strings.Count(notes(t, d, "workers"), "ended")
	if begun != 4 || ended != 3 { // the killed generation could not say so
		t.Errorf("%d workers have begun and %d were ended, want 4 and 3", begun, ended)
	}
}
