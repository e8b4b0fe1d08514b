package supervise_test

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

const (
	partEnv  = "GOZD_TEST_PART"  // what generation 1 does
	keepsEnv = "GOZD_TEST_KEEPS" // "no" for a configuration without fdstore
	filesEnv = "GOZD_TEST_FILES" // how many descriptors the supervisor may have
	limit    = 30 * time.Second
	nobody   = 65534
	somebody = 1
)

func init() {
	roles["supervisor"] = reexec.OrFail(runSupervisor)
	roles["generation"] = reexec.OrFail(runGeneration)
	roles["speaker"] = reexec.OrFail(speak)
}

// runSupervisor is a supervisor whose generation 1 is this binary, too.
func runSupervisor() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return superviseAs(self)
}

func superviseAs(self string) error {
	// Or generation 1 would be a supervisor, too.
	err := os.Unsetenv(reexec.Env)
	if n, _ := strconv.ParseUint(os.Getenv(filesEnv), 10, 64); n > 0 && err == nil { // the generations raise theirs again
		err = limitFiles(n)
	}
	if err != nil {
		return err
	}
	status, err := supervise.Run(supervise.Options{
		Keeps:   os.Getenv(keepsEnv) != "no",
		Binary:  self,
		Env:     []string{reexec.Env + "=generation"},
		User:    users[os.Getenv(partEnv)],
		Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Started: func() {},
	})
	if err != nil {
		return err
	}
	os.Exit(status)
	return nil
}

// runGeneration is generation 1. What it does beside serving is the part's.
func runGeneration() error {
	c, err := supervise.Inherited()
	if err != nil {
		return err
	}
	if c == nil {
		return errors.New("there is no supervisor")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := c.Notify(signed(supervise.Starting, 1)); err != nil {
		return err
	}
	parts := map[string]func(*supervise.Client) error{"liar": lie, "host": host, "blocker": block, "again": superviseAgain, "riser": rise, "crowd": gather, "server": serve, "childless": leaveNoHeir, "typist": lookAtTerminal, "forger": forge, "scribbler": scribble, "mourner": mourn, "settler": settle, "hoarder": hoard, "standby": standBy, "yielder": yield, "restless": fret}
	if err := parts[os.Getenv(partEnv)](c); err != nil {
		return err
	}
	select {
	case <-stop:
		fmt.Println("generation 1 stops")
	case <-c.Gone():
	}
	return nil
}

func signed(kind supervise.Kind, generation int) supervise.Event {
	start, _ := process.StartTime(os.Getpid())
	return supervise.Event{Kind: kind, Generation: generation, StartTime: start}
}

// front is a supervisor that runs.
type front struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // what all of its processes say
	log   *os.File
}

func start(t *testing.T, part string, env ...string) *front {
	t.Helper()
	return startLogging(t, part, nil, env...)
}

// startLogging has its log go elsewhere, unless that is nil.
func startLogging(t *testing.T, part string, log *os.File, env ...string) *front {
	t.Helper()
	f := &front{t: t, cmd: reexec.Command(t, "supervisor", append(env, partEnv+"="+part)...), lines: make(chan string, 64)}
	out, theirs, err := os.Pipe()
	must(t, err)
	f.log, err = os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	f.cmd.Stdout, f.cmd.Stderr = theirs, cmp.Or(log, f.log)
	must(t, f.cmd.Start())
	must(t, theirs.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = f.cmd.Process.Kill() // its generations end with it, or by the speakers' parent
		_ = f.cmd.Wait()
		<-read
		_ = out.Close()
		if t.Failed() {
			text, _ := os.ReadFile(f.log.Name())
			t.Logf("log:\n%s", text)
		}
		_ = f.log.Close()
	})
	return f
}

var must = require.NoError

// line is the next one, without that prefix.
func (f *front) line(prefix string) string {
	f.t.Helper()
	select {
	case line := <-f.lines:
		rest, ok := strings.CutPrefix(line, prefix)
		if !ok {
			f.t.Fatalf("%q is said, want %q", line, prefix)
		}
		return rest
	case <-time.After(limit):
		f.t.Fatalf("nobody says %q", prefix)
	}
	return ""
}

// logs waits until the log has a text.
func (f *front) logs(text string) {
	f.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		log, err := os.ReadFile(f.log.Name())
		must(f.t, err)
		if strings.Contains(string(log), text) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("the log has no %q", text)
		}
	}
}

// parentOf is the PID of a process's parent.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	n, err := strconv.Atoi(strings.Fields(rest)[1])
	must(t, err)
	return n
}

// awaitEnd waits until a process has ended by itself, reaped or not. With the race detector its exit takes a second.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	must(t, err)
	defer func() { must(t, unix.Close(fd)) }()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(limit); ; {
		n, err := unix.Poll(fds, max(1, int(time.Until(deadline).Milliseconds())))
		if n > 0 {
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			t.Fatalf("process %d does not end: %v", pid, err)
		}
	}
}

// takeChannel takes the generations' end of the channel out of a generation, as any process of its user can.
func takeChannel(t *testing.T, generation, supervisor int) *os.File {
	t.Helper()
	p, err := unix.PidfdOpen(generation, 0)
	must(t, err)
	defer func() { must(t, unix.Close(p)) }()
	for fd := 3; fd < 64; fd++ {
		n, err := unix.PidfdGetfd(p, fd, 0)
		if errors.Is(err, unix.EPERM) {
			require.Missing(t, "another process's descriptors cannot be taken here")
		}
		if err != nil {
			continue
		}
		kind, err := unix.GetsockoptInt(n, unix.SOL_SOCKET, unix.SO_TYPE)
		cred, credErr := unix.GetsockoptUcred(n, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil && credErr == nil && kind == unix.SOCK_SEQPACKET && int(cred.Pid) == supervisor {
			return os.NewFile(uintptr(n), "channel")
		}
		must(t, unix.Close(n))
	}
	t.Fatal("the generation has no channel")
	return nil
}
