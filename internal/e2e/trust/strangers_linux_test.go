package trust

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// asUser has a command run as a user, with no variables but env.
func asUser(cmd *exec.Cmd, uid int, env ...string) *exec.Cmd {
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "GORACE=atexit_sleep_ms=0"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	return cmd
}

// TestStrangerCommands has a third user do to a daemon all that root can do, with whatever variables he likes.
func TestStrangerCommands(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"with user": asNobody, "without user": "pidfile run/app.pid\nsupervise yes\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, options, onlyWeb)
			s.start(t)
			before := s.state()
			tool := filepath.Join(s.dir, "gozdctl")
			must(t, daemon.Install(binaries.Gozdctl(t), tool))
			for _, env := range strangeVariables(s) {
				for _, verb := range []string{"upgrade", "stop", "quit", "reopen", "rollback"} {
					wantRefused(t, asUser(exec.Command(tool, verb, s.pidfile), stranger, env...))
				}
				for _, verb := range []string{"start", "stop", "quit", "reopen", "reload"} {
					wantRefused(t, asUser(exec.Command(s.binary, "-c", s.conf, "-s", verb), stranger, env...))
				}
				wantRefused(t, asUser(exec.Command(s.binary, "-c", s.conf, "-f"), stranger, env...))
			}
			if now := s.state(); now.PID != before.PID || now.Generation != before.Generation || s.generation() != before.Generation {
				t.Errorf("the daemon is now %+v, and was %+v", now, before)
			}
			s.wantTERM(t)
		})
	}
}

// strangeVariables are what a user may have in his environment to be taken for a part of somebody's daemon.
func strangeVariables(s *service) [][]string {
	pid := s.state().PID
	return [][]string{
		nil,
		{
			"TABLEFLIP_HAS_PARENT_7DIU3=yes", "GOZD_SUPERVISED=3", "GOZD_DETACHED=3",
			fmt.Sprintf("LISTEN_PID=%d", pid), "LISTEN_FDS=3", "LISTEN_FDNAMES=web:web:web", "NOTIFY_SOCKET=/nonexistent",
			"WATCHDOG_USEC=1", "WATCHDOG_PID=1", "FDSTORE=9",
		},
		{
			fmt.Sprintf(`GOZD_SUPERVISOR={"version":1,"channel":0,"binary":"/bin/true","line":{"generations":[{"pid":%d,"phase":"serving"}]}}`, pid),
			"GOZD_GOZD_PIDFILE=" + s.pidfile, "GOZD_GOZD_USER=root",
		},
	}
}

// wantRefused runs a command, which must fail.
func wantRefused(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	what := strings.Join(cmd.Args[1:], " ")
	o := run(cmd)
	switch {
	case o.hung:
		t.Errorf("%s hangs", what)
	case o.status == 0:
		t.Errorf("%s succeeds: %q", what, o.output)
	}
}

// TestLockIsNotTaken has others lock a daemon's lock file: after a crash it would keep the daemon from starting.
func TestLockIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"with user": asNobody, "without user": "pidfile run/app.pid\nsupervise yes\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, options, onlyWeb)
			s.start(t)
			for range 2 {
				if _, said := attack(t, stranger, nil, "hold", s.pidfile+".lock"); !strings.Contains(said, "permission denied") {
					t.Errorf("a third user locks the lock file: %s", said)
				}
				s.upgrade(t)
			}
			must(t, s.front.Process.Kill()) // with which its generations end
			<-s.ended
			await(t, "over", func() bool { return killAll(s.dir) == 0 })
			attack(t, stranger, nil, "hold", s.pidfile+".lock")
			s.start(t)
			s.wantTERM(t)
		})
	}
}

// TestControlSocketIsPrivate has a third user connect to the control socket, even where the service's user has opened it to all.
func TestControlSocketIsPrivate(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	path := fmt.Sprintf("%s.%d.sock", s.pidfile, s.state().PID)
	await(t, "there", func() bool { _, err := os.Stat(path); return err == nil })
	curl := func() outcome {
		return run(asUser(exec.Command("curl", "-sS", "--max-time", "5", "--unix-socket", path, "-X", "POST", "http://gozd/v1/stop"), stranger))
	}
	if o := curl(); o.status == 0 {
		t.Errorf("a third user reaches the control socket: %s", o.output)
	}
	must(t, os.Chmod(path, 0o666))
	if o := curl(); !strings.Contains(o.output, `"forbidden"`) {
		t.Errorf("a third user is answered: %s", o.output)
	}
	time.Sleep(settle)
	if s.generation() != 1 {
		t.Error("the daemon has been stopped")
	}
	s.wantTERM(t)
}

// TestDescriptorLimit has the service's user leave its processes next to no descriptors: the supervisor does not feel it.
func TestDescriptorLimit(t *testing.T) {
	t.Parallel()
	m := listenAsManager(t)
	s := newWatched(t, m, asNobody, onlyWeb)
	s.start(t)
	s.upgrade(t)
	before, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.front.Process.Pid))
	must(t, err)
	begin(t, nobody, nil, "limit", itoa(s.state().PID), "8")
	if o := run(exec.Command(binaries.Gozdctl(t), "upgrade", "--timeout", "5s", s.pidfile)); o.hung || o.status == 0 {
		t.Errorf("an upgrade without descriptors: status %d, %s", o.status, o.output)
	}
	if _, said := attack(t, nobody, nil, "limit", itoa(s.front.Process.Pid), "8"); !strings.Contains(said, "operation not permitted") {
		t.Errorf("the service's user limits the supervisor: %s", said)
	}
	if after, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.front.Process.Pid)); err != nil || string(after) != string(before) {
		t.Errorf("the supervisor's limits were %s, and are %s, %v", before, after, err)
	}
	s.wantTERM(t)
	m.wantClean(t)
}
