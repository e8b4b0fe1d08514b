package trust

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	there := exec.Command("sleep", "600") // of root's, in a directory where the user cannot get
	there.Dir = filepath.Dir(hidden)
	must(t, there.Start())
	t.Cleanup(func() { _, _ = there.Process.Kill(), there.Wait() })
	inside := fmt.Sprintf("/proc/%d/cwd/open", there.Process.Pid)
	for _, log := range []string{file, fifo, hidden, inside, "/proc/1/environ", filepath.Join(dir, "missing")} {
		for who, args := range logNamed(t, log) {
			for _, args := range [][]string{args, slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "-f" })} {
				what := fmt.Sprintf("%s, named by a %s, by %v", log, who, args)
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
}

// TestFollowedLog has root follow the log of a daemon of the service's user, also when another file stands at its path: no process is that
// user's, who can trace none of them, and none keeps root from ending it.
func TestFollowedLog(t *testing.T) {
	t.Parallel()
	require.Root(t)
	log := filepath.Join(ownDir(t, filepath.Join(openDir(t), "log"), nobody), "app.log")
	write := func(text string) {
		must(t, os.WriteFile(log, []byte(text), 0o600))
		must(t, os.Chown(log, nobody, nobody))
	}
	for who, args := range logNamed(t, log) {
		write("a line\n")
		cmd := exec.Command(binaries.Gozdctl(t), args...)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		hangs := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewReader(stdout)
		wantNext := func(want string) {
			t.Helper()
			if line, err := lines.ReadString('\n'); line != want {
				t.Errorf("%s: it prints %q, %v, want %q", who, line, err, want)
			}
		}
		wantNext("a line\n") // by what shows the end of the log, and may not have ended itself
		add(t, log, "an added line\n")
		wantNext("an added line\n")
		for _, pid := range []int{cmd.Process.Pid, childOf(t, cmd.Process.Pid)} {
			var st unix.Stat_t
			must(t, unix.Stat(fmt.Sprintf("/proc/%d", pid), &st))
			if st.Uid != 0 || st.Gid != 0 {
				t.Errorf("%s: process %d is user %d's", who, pid, st.Uid)
			}
			begin(t, nobody, nil, "trace", itoa(pid)).end()
		}
		must(t, os.Rename(log, log+".1"))
		write("of another file\n")
		wantNext("of another file\n")
		hangs.Stop()
		began := time.Now()
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		err = cmd.Wait()
		if took := time.Since(began); err != nil || took > termLimit {
			t.Errorf("%s: it ends with %v, %v after TERM", who, err, took)
		}
		must(t, os.Remove(log+".1"))
	}
}

// add writes a text behind what a file has.
func add(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Close())
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

// TestLogWhereEverybodyWrites has a third user put what he likes at the path of a log of root's: nothing keeps gozdctl, or has it print what only
// root can read.
func TestLogWhereEverybodyWrites(t *testing.T) {
	t.Parallel()
	require.Root(t)
	dir := openDir(t)
	file, conf := filepath.Join(dir, "secret"), filepath.Join(dir, "app.conf")
	must(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	shared := filepath.Join(dir, "shared")
	must(t, os.Mkdir(shared, 0o777))
	must(t, os.Chmod(shared, os.ModeSticky|0o777))
	log, other := filepath.Join(shared, "app.log"), filepath.Join(shared, "other")
	must(t, os.WriteFile(conf, []byte("[gozd]\npidfile "+filepath.Join(dir, "app.pid")+"\nlog "+log+"\n"+onlyWeb), 0o600))
	wantRefused := func(why string) {
		t.Helper()
		for _, flag := range []string{"-f", "-n=10"} {
			cmd := exec.Command(binaries.Gozdctl(t), "logs", flag, "-c", conf)
			hangs := time.AfterFunc(followLimit, func() { _ = cmd.Process.Kill() })
			o := run(cmd)
			if !hangs.Stop() || o.status == 0 || !strings.Contains(o.output, why) || strings.Contains(o.output, secret) {
				t.Errorf("%s: status %d, %q, want %q", flag, o.status, o.output, why)
			}
		}
	}
	must(t, unix.Mkfifo(log, 0o600))
	must(t, os.Chown(log, stranger, stranger))
	wantRefused("a FIFO")
	must(t, os.Remove(log))
	must(t, os.Symlink(file, log))
	must(t, os.Lchown(log, stranger, stranger))
	wantRefused("link")
	must(t, os.WriteFile(other, []byte("a line\n"), 0o644))
	must(t, os.Chown(other, stranger, stranger))
	a := begin(t, stranger, nil, "swap", log, other)
	for range 60 {
		if o := run(exec.Command(binaries.Gozdctl(t), "logs", "-c", conf)); strings.Contains(o.output, secret) {
			t.Fatalf("status %d, %q", o.status, o.output)
		}
	}
	a.end()
}

// TestConfigurationOfAnother has a configuration in another user's directory be a link to what only root can read, and a device.
func TestConfigurationOfAnother(t *testing.T) {
	t.Parallel()
	require.Root(t)
	file := filepath.Join(openDir(t), "secret.conf")
	must(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	for _, to := range []string{file, "/dev/ptmx"} {
		conf := filepath.Join(ownDir(t, filepath.Join(openDir(t), "etc"), nobody), "app.conf")
		must(t, os.Symlink(to, conf))
		must(t, os.Lchown(conf, nobody, nobody))
		for _, args := range [][]string{{"check", conf}, {"status", "-c", conf}, {"logs", "-f", "-c", conf}} {
			o := run(exec.Command(binaries.Gozdctl(t), args...))
			if o.status == 0 || strings.Contains(o.output, secret) || !strings.Contains(o.output, conf) {
				t.Errorf("%v, a link to %s: status %d, %q", args, to, o.status, o.output)
			}
		}
	}
}

// TestUpgradeWithoutProc asks for an upgrade where other processes cannot be seen.
func TestUpgradeWithoutProc(t *testing.T) {
	t.Parallel()
	require.Root(t)
	require.Tool(t, "unshare", "package util-linux")
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	before := s.generation()
	o := run(exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs none /proc && exec "$@"`, "sh", binaries.Gozdctl(t), "upgrade", s.pidfile))
	if o.status != 0 || s.generation() != before+1 {
		t.Errorf("status %d, generation %d after %d: %q", o.status, s.generation(), before, o.output)
	}
	s.end(t)
}
