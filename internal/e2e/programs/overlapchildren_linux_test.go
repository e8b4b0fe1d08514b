package programs

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

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
	for _, s := range []*process.State{left, atExit, with, two} {
		wantParent(t, s, one.PID)
		wantGroup(t, s, one)
	}
	killed, orphan := child(t, dialLine(t, d), "with this process"), child(t, dialLine(t, d), "never")
	signalState(t, two, syscall.SIGKILL)
	daemontest.AwaitEnd(t, killed)
	awaitServing(t, d, 1)
	supervisor := parentOf(t, one)
	wantGroup(t, &process.State{PID: supervisor}, one)
	awaitParent(t, orphan, supervisor)
	wantParent(t, atExit, one.PID)

	daemontest.Upgrade(t, d)
	_ = conn.Close()
	daemontest.AwaitEnd(t, one)
	daemontest.AwaitEnd(t, atExit)
	daemontest.AwaitEnd(t, with)
	awaitParent(t, left, supervisor)
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if p, err := process.Open(left.PID, left.StartTime); err != nil {
		t.Errorf("after the stop: %v, want that nobody has ended pid %d", err, left.PID)
	} else {
		p.Close()
	}
}

// wantGroup checks that a signal to the process group of one reaches the other.
func wantGroup(t *testing.T, s, other *process.State) {
	t.Helper()
	group, err := syscall.Getpgid(s.PID)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := syscall.Getpgid(other.PID); err != nil || group != want {
		t.Errorf("pid %d is of process group %d, want %d, %v", s.PID, group, want, err)
	}
}

// awaitParent waits until a process whose parent has ended has another one: the last thread's end gives it away, and not the first's.
func awaitParent(t *testing.T, s *process.State, parent int) {
	t.Helper()
	daemontest.Await(t, fmt.Sprintf("pid %d as a child of pid %d", s.PID, parent), func() bool { return slices.Contains(daemon.Children(parent), s.PID) })
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

// TestProgramReapsAll has it wait for any child process: gozd still sees that the successor has ended, and perhaps not how.
func TestProgramReapsAll(t *testing.T) {
	t.Parallel()
	d := prepareOverlapping(t, "", lineGroup)
	start(t, d)
	conn := dialLine(t, d)
	child(t, conn, "never") // or there would be nothing to wait for yet
	wantSaid(t, conn, "reap")
	daemontest.Upgrade(t, d)
	strike(t, d, syscall.SIGKILL)
	awaitServing(t, d, 1)
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, how, _ := strings.Cut(s.Upgrades.LastFailure, "it died after it had taken over: ")
	if how != "waitid: no child processes" && how != "signal: killed" {
		t.Errorf("the last failure: %s", s.Upgrades.LastFailure)
	}
}
