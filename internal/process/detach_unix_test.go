//go:build unix

package process_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

func init() {
	roles["daemon"] = func() { daemon(true) }
	roles["daemon that fails"] = func() { process.Detached().Fail("listen", errors.New("address in use: [web]")) }
	roles["daemon that panics"] = func() { process.Detached(); panic("boom") }
	roles["daemon that dies"] = func() { process.Detached(); os.Stderr.WriteString(inUse); os.Exit(7) }
	roles["daemon that dies with a log"] = func() {
		process.Detached()
		must(os.WriteFile(os.Getenv(pathEnv), nil, 0o600))
		os.Stderr.WriteString(inUse)
		os.Exit(7)
	}
	roles["daemon that is killed"] = func() { process.Detached(); _ = unix.Kill(os.Getpid(), unix.SIGKILL); select {} }
	roles["daemon that leaves"] = func() { process.Detached() }
	roles["program that knows nothing of it"] = func() {}
	roles["stranger"] = detachedByMistake
}

// inUse is what log.Fatal would write.
const inUse = "2006/01/02 listen tcp :6060: bind: address already in use\n"

// facts is what a detached process knows about itself.
type facts struct {
	PID, Session, Group  int
	Args                 []string
	Detached, StillAfter bool
	Streams              []string // where descriptors 0 to 2 lead, on Linux
	Leaked               bool     // a process that it starts has its pipe
}

// daemon is a process that Detach starts. It leaves its facts in a file.
func daemon(ready bool) {
	f := facts{PID: os.Getpid(), Args: os.Args, Detached: process.IsDetached()}
	w := process.Detached()
	f.StillAfter = process.Detached() != nil || !process.IsDetached()
	f.Session, _ = unix.Getsid(0)
	f.Group = unix.Getpgrp()
	flags, err := unix.FcntlInt(3, unix.F_GETFD, 0)
	early.RestoreStderr(true) // as who is ready does
	f.Leaked = err != nil || flags&unix.FD_CLOEXEC == 0
	for _, fd := range []string{"0", "1", "2"} {
		name, _ := os.Readlink("/proc/self/fd/" + fd)
		f.Streams = append(f.Streams, name)
	}
	data, err := json.Marshal(f)
	must(err)
	must(os.WriteFile(os.Getenv(pathEnv), data, 0o600))
	if ready {
		w.Ready(nil)
	}
}

// detach has this binary play a role as a daemon.
func detach(t *testing.T, role, path string) (int, error) {
	t.Helper()
	t.Setenv(reexec.Env, role)
	t.Setenv(pathEnv, path)
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	binary, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := process.Detach(binary, path, nil, nil)
	if pid > 0 {
		t.Cleanup(func() { reap(t, pid) })
	}
	return pid, err
}

// reap waits for a daemon that ends by itself: Detach does not.
func reap(t *testing.T, pid int) {
	t.Helper()
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			t.Errorf("wait for pid %d: %v", pid, err)
			return
		}
	}
}

func TestDetach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	pid, err := detach(t, "daemon", path)
	if err != nil {
		t.Fatal(err)
	}
	var got facts
	if err := json.Unmarshal([]byte(contents(t, path)), &got); err != nil {
		t.Fatal(err)
	}
	want := facts{PID: pid, Session: pid, Group: pid, Args: os.Args, Detached: true, Streams: got.Streams}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the daemon is %+v, want %+v", got, want)
	}
	if null := []string{"/dev/null", "/dev/null", "/dev/null"}; runtime.GOOS == "linux" && !reflect.DeepEqual(got.Streams, null) {
		t.Errorf("its streams lead to %v, want %v", got.Streams, null)
	}
}

func TestDetachFails(t *testing.T) {
	const silent = "the daemon ended before it was ready: "
	tests := []struct{ role, says string }{
		{"daemon that fails", "address in use: [web]"},
		{"daemon that panics", "panic: boom ("},
		{"daemon that dies", silent + "exit status 7: 2006/01/02 listen tcp :6060: bind: address already in use"},
		{"daemon that is killed", silent + "signal: killed"},
		{"daemon that leaves", silent + "exit status 0"},
		{"program that knows nothing of it", silent + "exit status 0"},
	}
	for _, test := range tests {
		t.Run(test.role, func(t *testing.T) {
			pid, err := detach(t, test.role, "")
			if pid != 0 || err == nil || !strings.HasPrefix(err.Error(), test.says) {
				t.Errorf("Detach = %d, %v, want %q", pid, err, test.says)
			}
		})
	}
}

// TestDetachFailsWithALog looks where the words are that nobody could say.
func TestDetachFailsWithALog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if _, err := detach(t, "daemon that dies with a log", path); err == nil || !strings.HasSuffix(err.Error(), strings.TrimSpace(inUse)) {
		t.Errorf("Detach = %v, want what it wrote last", err)
	}
	if got := contents(t, path); got != inUse {
		t.Errorf("the log is %q, want %q", got, inUse)
	}
}

func TestDetachWithoutBinary(t *testing.T) {
	if pid, err := process.Detach(filepath.Join(t.TempDir(), "missing"), "", nil, nil); pid != 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Detach = %d, %v, want os.ErrNotExist", pid, err)
	}
}

func TestNotDetached(t *testing.T) {
	if process.IsDetached() || process.Detached() != nil {
		t.Error("a test is said to be detached")
	}
}

// detachedByMistake is a process that has Detach's variable from somewhere, and
// on the descriptor something else.
func detachedByMistake() {
	var before, after unix.Stat_t
	must(unix.Fstat(3, &before))
	w := process.Detached()
	for range 10 { // an os.File of the descriptor would close it when it is collected
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	err := unix.Fstat(3, &after)
	say(map[string]bool{"writer": w != nil, "open": err == nil && after.Ino == before.Ino, "mark": process.IsDetached()})
}

func TestDetachedByMistake(t *testing.T) {
	for _, mark := range []string{"3", "4", "x", "-1"} {
		f, err := os.Create(filepath.Join(t.TempDir(), "data"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd := role(t, "stranger", "")
		cmd.Env = append(cmd.Env, "GOZD_DETACHED="+mark)
		cmd.ExtraFiles = []*os.File{f}
		var got map[string]bool
		output(t, cmd, &got)
		if want := map[string]bool{"writer": false, "open": true, "mark": false}; !reflect.DeepEqual(got, want) {
			t.Errorf("with the mark %q: %v, want %v", mark, got, want)
		}
	}
}
