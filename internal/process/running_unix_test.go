//go:build unix

package process_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestFindRunning(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	want := serve(t, path)
	r, err := process.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.PID != os.Getpid() || r.State.StartTime != want.StartTime || r.State.Generation != 1 {
		t.Errorf("Find = pid %d, %+v, want %+v", r.PID, r.State, want)
	}
	if err := r.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
}

// What Find must never do is return a process that is not the daemon: it would
// be signalled.
func TestFindNothing(t *testing.T) {
	stranger := sleeper(t)
	start, err := process.StartTime(stranger.PID)
	if err != nil {
		t.Fatal(err)
	}
	named := func(pid int, start uint64) string { return fmt.Sprintf(`{"pid":%d,"start_time":%d}`, pid, start) }
	const gone = "its serving generation is gone"
	tests := []struct {
		name           string
		locked         bool
		pidfile, state string // contents; none if empty
		is             error
		says           string
	}{
		{"no files", false, "", "", process.ErrNotRunning, "no PID file"},
		{"stale PID file", false, strconv.Itoa(stranger.PID), "", process.ErrNotRunning, "the file is stale: it names pid"},
		{"stale files of a daemon that was killed", false, "7", named(stranger.PID, start), process.ErrNotRunning, "nobody holds the daemon's lock"},
		{"garbage in the PID file", false, "hello\n", "", process.ErrNotRunning, `"hello" is no process ID`},
		{"state is missing", true, "1", "", fs.ErrNotExist, "the daemon is starting"},
		{"garbage in the state", true, "1", "{", nil, "unexpected end of JSON"},
		{"no PID in the state", true, "1", "{}", os.ErrProcessDone, gone},
		{"every process's PID in the state", true, "1", named(-1, 0), os.ErrProcessDone, gone},
		{"a stranger has the PID", true, "1", named(stranger.PID, start-1), os.ErrProcessDone, gone},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := pidfileIn(t)
			writeFile(t, path, test.pidfile)
			writeFile(t, process.StatePath(path), test.state)
			l := acquire(t, path)
			if !test.locked {
				l.Leave()
			}
			r, err := process.Find(path)
			if r != nil || err == nil {
				t.Fatalf("Find = %+v, %v, want an error", r, err)
			}
			if test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("Find: %v, want the path, %q and %v", err, test.says, test.is)
			}
			if got := errors.Is(err, process.ErrNotRunning); got == test.locked {
				t.Errorf("Find: %v: not running = %v", err, got)
			}
		})
	}
}

func TestFindWithoutALockFile(t *testing.T) {
	path := pidfileIn(t)
	serve(t, path)
	if r, err := process.Find(path); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Find = %+v, %v, want ErrNotRunning", r, err)
	}
}

// writeFile writes a file, unless it would be empty.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if content == "" {
		return
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sleeper is a process that ends with the test.
func sleeper(t *testing.T) *process.Process {
	t.Helper()
	return started(t, exec.CommandContext(t.Context(), "sleep", "60"))
}

// started starts a command that ends with the test.
func started(t *testing.T, cmd *exec.Cmd) *process.Process {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the context has killed it
	p, err := process.Open(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestStartTime(t *testing.T) {
	self, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	again, err := process.StartTime(os.Getpid())
	if err != nil || again != self {
		t.Errorf("StartTime = %d, then %d, %v", self, again, err)
	}
	child, err := process.StartTime(sleeper(t).PID)
	if err != nil || child < self {
		t.Errorf("StartTime of a child = %d, %v, before that of its parent, %d", child, err, self)
	}
}

func TestOpenAndSignal(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := process.StartTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Open(cmd.Process.Pid, start)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed
	if err := p.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal to a process that is gone: %v, want os.ErrProcessDone", err)
	}
	if _, err := process.Open(cmd.Process.Pid, start); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Open of a process that is gone: %v, want os.ErrProcessDone", err)
	}
}
