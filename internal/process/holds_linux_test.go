package process_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func init() {
	roles["becomes root"] = becomesRoot
	roles["signal without /proc/locks"] = signalWithoutLocks
}

// A state file may name any process of the daemon's user. Only one that has the lock is signalled: to have the lock file open, as a backup may, is not
// enough.
func TestOnlyWhoHasTheLockIsSignalled(t *testing.T) {
	path := pidfileIn(t)
	lock := acquire(t, path)
	open, err := os.Open(process.LockPath(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	for _, tt := range []struct {
		name string
		has  *os.File
		want error
	}{
		{"a stranger", nil, process.ErrUntrusted},
		{"who reads the lock file", open, process.ErrUntrusted},
		{"who has the lock", lock.File(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "sleep", "60")
			if tt.has != nil {
				cmd.ExtraFiles = []*os.File{tt.has}
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			r := find(t, path, cmd.Process.Pid)
			defer r.Close()
			if err := r.Signal(syscall.SIGTERM); !errors.Is(err, tt.want) {
				t.Errorf("signal: %v, want %v", err, tt.want)
			}
			_ = cmd.Process.Kill()
			if ended := cmd.Wait(); (ended.Error() == "signal: terminated") != (tt.want == nil) {
				t.Errorf("it has ended by %v", ended)
			}
		})
	}
}

// find is Find, after the state file has named a process.
func find(t *testing.T, pidfile string, pid int) *process.Running {
	t.Helper()
	start, err := process.StartTime(pid)
	if err == nil {
		err = process.WriteState(pidfile, &process.State{PID: pid, StartTime: start, Generation: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := process.Find(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// If another generation takes over between a look and the signal, whoever signals looks again.
func TestReplacedBeforeItsSignal(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	r := find(t, path, sleeper(t).PID)
	defer r.Close()
	find(t, path, os.Getpid()).Close()
	if err := r.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v, want that it serves no longer", err)
	}
}

// becomesRoot is a process of nobody's that runs a program with the set-user-ID bit when it is told to.
func becomesRoot() {
	must(unix.Setresuid(nobody, nobody, 0))
	say("nobody's")
	_, _ = os.Stdin.Read(make([]byte, 1))
	must(unix.Setresuid(0, 0, 0))
	say("root's")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// Whoever has many descriptors makes a look at them last, and may run a program of root's meanwhile. Root does not signal that in his place.
func TestRootsByNowIsNotSignalled(t *testing.T) {
	needRoot(t, "signal root's processes")
	path := pidfileIn(t)
	lock := acquire(t, path)
	cmd := role(t, "becomes root", path)
	cmd.ExtraFiles = []*os.File{lock.File()}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	next := func() {
		if n, err := out.Read(make([]byte, 64)); n == 0 {
			t.Fatal(err)
		}
	}
	next()
	start, err := process.StartTime(cmd.Process.Pid)
	if err == nil {
		err = process.WriteState(path, &process.State{PID: cmd.Process.Pid, StartTime: start, Generation: 1, PIDFile: path})
	}
	for _, file := range []string{process.LockPath(path), process.StatePath(path)} {
		err = errors.Join(err, os.Chown(file, nobody, nobody))
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := process.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, _ = in.Write([]byte{1})
	next()
	if err := r.Signal(syscall.SIGTERM); !errors.Is(err, process.ErrUntrusted) {
		t.Errorf("signal to a process that is root's by now: %v, want that it is not to be trusted", err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// signalWithoutLocks names a process that has the lock file open, and no more, where /proc shows processes only.
func signalWithoutLocks() {
	must(unix.Mount("proc", "/proc", "proc", 0, "subset=pid"))
	pidfile := os.Getenv(pathEnv)
	lock, err := process.Acquire(pidfile)
	must(err)
	defer lock.Leave()
	open, err := os.Open(process.LockPath(pidfile))
	must(err)
	cmd := exec.Command("sleep", "60")
	cmd.ExtraFiles = []*os.File{open}
	must(cmd.Start())
	start, err := process.StartTime(cmd.Process.Pid)
	must(err)
	must(process.WriteState(pidfile, &process.State{PID: cmd.Process.Pid, StartTime: start, Generation: 1, PIDFile: pidfile}))
	r, err := process.Find(pidfile)
	must(err)
	err = r.Signal(syscall.SIGTERM)
	_ = cmd.Process.Kill()
	say(map[string]bool{"untrusted": errors.Is(err, process.ErrUntrusted), "signalled": cmd.Wait().Error() == "signal: terminated"})
}

// A /proc with processes only, as a unit's ProcSubset=pid has, tells of locks all the same.
func TestWhoHasTheLockWithoutProcLocks(t *testing.T) {
	needRoot(t, "mount /proc")
	unshare := require.Tool(t, "unshare", "package util-linux")
	cmd := role(t, "signal without /proc/locks", pidfileIn(t))
	cmd.Args = append([]string{unshare, "--mount", "--pid", "--fork", "--kill-child"}, cmd.Args...)
	cmd.Path = unshare
	var said map[string]bool
	output(t, cmd, &said)
	if !said["untrusted"] || said["signalled"] {
		t.Errorf("to signal who has the lock file open: %v", said)
	}
}
