package watched

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// debugged is a daemon that runs with -f under a tracer, which is what a debugger is, and without a terminal.
type debugged struct {
	*daemon.Daemon
	t      *testing.T
	tracer *exec.Cmd
	first  int
}

func underDebugger(t *testing.T) *debugged {
	t.Helper()
	d := newDaemon(t, "watched")
	cmd := exec.Command(require.Tool(t, "strace", "package strace"), "-f", "-o", "/dev/null", d.Binary, "-f", "-v", "-c", d.Conf)
	cmd.Dir = d.Dir
	out, err := os.Create(filepath.Join(d.Dir, "output"))
	must(t, err)
	t.Cleanup(func() { _ = out.Close() })
	cmd.Stdout, cmd.Stderr = out, out
	watch(t, d, cmd)
	return &debugged{Daemon: d, t: t, tracer: cmd, first: servingPID(t, d)}
}

// drained waits until the first process has nothing left to do but stay.
func (d *debugged) drained() {
	d.t.Helper()
	await(d.t, "drained", func() bool { return strings.Contains(d.LogText(), "this process stays in front") })
}

// In a debugger the first process is generation 1, and neither it nor the tracer's end comes before that of the last
// generation.
func TestDebuggerHasTheProgramAndKeepsIt(t *testing.T) {
	d := underDebugger(t)
	if body, err := get(d.Daemon, "/"); err != nil || body != "1\n" {
		t.Errorf("answered by %q, %v", body, err)
	}
	for n := 2; n <= 3; n++ { // people send signals to the PID that they know
		must(t, syscall.Kill(d.first, syscall.SIGHUP))
		await(t, "upgraded", func() bool { return generation(d.Daemon) == n })
	}
	d.drained()
	if s := state(d.first); s == "" || s == "Z" {
		t.Fatalf("the first process has gone (%q): the debugger would have nothing left to debug", s)
	}
	if body, err := get(d.Daemon, "/"); err != nil || body != "3\n" {
		t.Errorf("answered by %q, %v", body, err)
	}
	last := servingPID(t, d.Daemon)
	must(t, syscall.Kill(d.first, syscall.SIGTERM))
	if ws := ended(t, d.tracer); ws.ExitStatus() != 0 {
		t.Errorf("the tracer has ended with %v, want the status 0 of the first process", ws)
	}
	if s := state(last); s != "" {
		t.Errorf("the last generation is still there: %s", s)
	}
	for n := 1; n <= 3; n++ {
		if c := strings.Count(d.LogText(), fmt.Sprintf("cleanup of generation %d\n", n)); c != 1 {
			t.Errorf("generation %d has cleaned up %d times", n, c)
		}
	}
}

// The debugger learns how the daemon has ended, whichever generation that was.
func TestDebuggerSeesHowTheLastGenerationEnds(t *testing.T) {
	d := underDebugger(t)
	upgrade(t, d.Daemon, 1)
	d.drained()
	if _, err := get(d.Daemon, "/exit?status=7"); err == nil {
		t.Error("it has answered")
	}
	want := 7
	if !tellsStatus(t) {
		want = 1
	}
	if ws := ended(t, d.tracer); ws.ExitStatus() != want {
		t.Errorf("the first process has ended with %v, want status %d", ws, want)
	}
}
