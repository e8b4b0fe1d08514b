package trust

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// logNamed makes a daemon of the service's user that says where its log is, and returns the arguments by which gozdctl follows
// the log: asking the daemon, and by a configuration of that user's.
func logNamed(t *testing.T, log string) map[string][]string {
	t.Helper()
	run := ownDir(t, filepath.Join(openDir(t), "run"), nobody)
	pidfile, conf := filepath.Join(run, "app.pid"), filepath.Join(run, "app.conf")
	must(t, os.WriteFile(conf, []byte("[gozd]\npidfile "+pidfile+"\nlog "+log+"\n"+onlyWeb), 0o644))
	must(t, os.Chown(conf, nobody, nobody))
	begin(t, nobody, nil, "daemon", "-answer", "log", "-log", log, pidfile)
	return map[string][]string{"daemon": {"logs", "-f", pidfile}, "configuration": {"logs", "-f", "-c", conf}}
}

// followLimit is what only a command takes that follows a log.
const followLimit = 10 * time.Second

// TestNamedLog has a daemon of the service's user, and a configuration of his, say that the log is what only root can read.
func TestNamedLog(t *testing.T) {
	t.Parallel()
	require.Root(t)
	dir := openDir(t)
	file, fifo := filepath.Join(dir, "secret"), filepath.Join(dir, "fifo")
	must(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	must(t, unix.Mkfifo(fifo, 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "private"), 0o700))
	hidden := filepath.Join(dir, "private", "open")
	must(t, os.WriteFile(hidden, []byte(secret+"\n"), 0o644))
	for _, log := range []string{file, fifo, hidden, "/proc/1/environ", filepath.Join(dir, "missing")} {
		for who, args := range logNamed(t, log) {
			what := fmt.Sprintf("%s, named by a %s", log, who)
			cmd := exec.Command(binaries.Gozdctl(t), args...)
			follows := time.AfterFunc(followLimit, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
			o := run(cmd)
			if !follows.Stop() {
				t.Errorf("%s: it is followed", what)
			}
			if o.status != 1 || !strings.Contains(o.output, "user nobody, who says that it is there, cannot read it") || strings.Contains(o.output, secret) {
				t.Errorf("%s: status %d, %q", what, o.status, o.output)
			}
		}
	}
}

// TestFollowedLog has root follow the log of a daemon of the service's user: who reads it is a process of that user's, with nothing
// of root's, and keeps root from nothing.
func TestFollowedLog(t *testing.T) {
	t.Parallel()
	require.Root(t)
	log := filepath.Join(ownDir(t, filepath.Join(openDir(t), "log"), nobody), "app.log")
	must(t, os.WriteFile(log, []byte("a line\n"), 0o600))
	must(t, os.Chown(log, nobody, nobody))
	for who, args := range logNamed(t, log) {
		cmd := exec.Command(binaries.Gozdctl(t), args...)
		cmd.Env = append(os.Environ(), "PASSWORD="+secret)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "a line\n" {
			t.Errorf("%s: it prints %q, %v", who, line, err)
		}
		child := childOf(t, cmd.Process.Pid)
		var st unix.Stat_t
		must(t, unix.Stat(fmt.Sprintf("/proc/%d", child), &st))
		session, err := unix.Getsid(child)
		env, envErr := os.ReadFile(fmt.Sprintf("/proc/%d/environ", child))
		must(t, errors.Join(err, envErr))
		if st.Uid != nobody || st.Gid != nobody || session != child || strings.Contains(string(env), secret) {
			t.Errorf("%s: user %d, group %d, process %d of session %d, %q", who, st.Uid, st.Gid, child, session, env)
		}
		tracer := begin(t, nobody, nil, "trace", itoa(child))
		began := time.Now()
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		err = cmd.Wait()
		if took := time.Since(began); err != nil || took > termLimit {
			t.Errorf("%s: it ends with %v, %v after TERM", who, err, took)
		}
		tracer.end()
	}
}

// childOf returns the only child of a process.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	all := daemon.Children(pid)
	if len(all) != 1 {
		t.Fatalf("process %d has the children %v", pid, all)
	}
	return all[0]
}
