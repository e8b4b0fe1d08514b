package programs

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// movePIDFile upgrades to a configuration that has another PID file, and returns what the state file beside that says.
func movePIDFile(t *testing.T, d *daemon.Daemon) *process.State {
	t.Helper()
	conf, err := os.ReadFile(d.Conf)
	if err != nil {
		t.Fatal(err)
	}
	was, moved := d.PIDFile, strings.TrimSuffix(d.PIDFile, "app.pid")+"moved.pid"
	if err := os.WriteFile(d.Conf, []byte(strings.Replace(string(conf), "pidfile app.pid", "pidfile moved.pid", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	daemontest.SignalServing(t, d, syscall.SIGHUP)
	d.PIDFile = moved
	s := awaitServing(t, d, 2)
	daemontest.Await(t, "the files beside the old PID file are gone", func() bool {
		_, err := os.Stat(process.LockPath(was))
		return errors.Is(err, os.ErrNotExist)
	})
	if _, err := d.State(); err != nil { // it ends with the test
		t.Fatal(err)
	}
	d.PIDFile = was
	if err := os.WriteFile(d.Conf, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestResumeTakesTheLockAnew has a successor die that has moved the PID file, and so has removed the lock's file beside the old one.
func TestResumeTakesTheLockAnew(t *testing.T) {
	d := startResuming(t, lineGroup)
	old := dialLine(t, d)
	victim := movePIDFile(t, d)
	signalState(t, victim, syscall.SIGKILL)
	one := awaitServing(t, d, 1) // which looks at the lock
	if got := askLine(t, old); !strings.HasPrefix(got, "1 ") {
		t.Errorf("a client of generation 1 is answered %q", got)
	}
	output, err := d.Command(t.Context()).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "already running, pid ") {
		t.Errorf("a second start: %v: %s", err, output)
	}
	if now := awaitServing(t, d, 1); now.PID != one.PID {
		t.Errorf("pid %d serves after a second start, want %d", now.PID, one.PID)
	}
	daemontest.Upgrade(t, d) // whose lock is the new one
	// Where the victim was dead before its parent had looked, its upgrade has failed, and its number is free again.
	if s, err := d.State(); err != nil || s.Generation < 2 {
		t.Errorf("the state is %+v, %v, want generation 2 or 3", s, err)
	}
}

// TestResumeWithoutTheLock: a daemon that has been started on the old PID file meanwhile must not get a second one beside it.
func TestResumeWithoutTheLock(t *testing.T) {
	d := startResuming(t, lineGroup)
	dialLine(t, d)
	address := dialNow(t, d).RemoteAddr().String()
	victim := movePIDFile(t, d)
	other, err := process.Acquire(d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Leave()
	signalState(t, victim, syscall.SIGKILL)
	daemontest.AwaitLog(t, d, `msg="this generation cannot serve again: nobody serves" generation=1 pid=`)
	if text := d.LogText(); !strings.Contains(text, "already running") {
		t.Errorf("the log does not say why:\n%s", text)
	}
	daemontest.Await(t, "the daemon refuses clients", func() bool {
		_, err := net.Dial("tcp", address)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	for _, path := range []string{d.PIDFile, process.StatePath(d.PIDFile)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was written beside somebody else's lock: %v", path, err)
		}
	}
}
