package programs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// startResuming starts a daemon of the program hooked, which can take back what it lets go of.
func startResuming(t *testing.T, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	d := daemontest.Prepare(t, binaries.Hooked(t), groups, options...)
	d.Env = append(d.Env, "HOOKED_RESUME=yes")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// strike ends the serving generation, which must not say goodbye, and returns its state.
func strike(t *testing.T, d *daemon.Daemon, sig syscall.Signal) *process.State {
	t.Helper()
	victim, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	signalState(t, victim, sig)
	daemontest.AwaitEnd(t, victim)
	return victim
}

func signalState(t *testing.T, s *process.State, sig syscall.Signal) {
	t.Helper()
	p, err := process.Open(s.PID, s.StartTime)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// awaitServing waits until PID file, lock and state file name a generation.
func awaitServing(t *testing.T, d *daemon.Daemon, generation int) *process.State {
	t.Helper()
	var s *process.State
	daemontest.Await(t, fmt.Sprintf("generation %d serves", generation), func() bool {
		r, err := process.Find(d.PIDFile)
		if err != nil {
			return false
		}
		defer r.Close()
		s = r.State
		pid, err := process.ReadPID(d.PIDFile)
		return err == nil && pid == r.PID && s.Generation == generation
	})
	return s
}

// TestSuccessorDiesAgainAndAgain has clients ask all the time. Only those of the process that dies may notice.
func TestSuccessorDiesAgainAndAgain(t *testing.T) {
	t.Setenv("GOTRACEBACK", "none") // the runtime walks the stacks of goroutines that run, and can crash itself by that
	d := startResuming(t, lineGroup)
	old := dialLine(t, d)
	for round, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGABRT, syscall.SIGKILL} {
		daemontest.Upgrade(t, d)
		victim := strike(t, d, sig)
		if victim.Generation != 2+round {
			t.Errorf("generation %d was upgraded to in round %d", victim.Generation, round)
		}
		conn := dialNow(t, d) // it waits in the queue if it comes before the end of the hook
		if got := askLine(t, conn); !strings.HasPrefix(got, "1 ") {
			t.Errorf("round %d: a new client is answered %q, want by generation 1", round, got)
		}
		awaitServing(t, d, 1)
		// The runtime's account of a crash goes to the program's standard error once the new generation has told everybody that
		// it serves, and into the error before.
		how := map[syscall.Signal]string{syscall.SIGKILL: `signal: killed`, syscall.SIGABRT: `(exit status 2|SIGABRT: abort( \(.*\))?)`}[sig]
		want := fmt.Sprintf("^upgrade failed at serving: pid %d: it died after it had taken over: %s$", victim.PID, how)
		s, err := d.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if u := s.Upgrades; !regexp.MustCompile(want).MatchString(u.LastFailure) || u.Failed != round+1 {
			t.Errorf("round %d: %d failures, the last %q, want %q", round, u.Failed, u.LastFailure, want)
		}
		if got := askLine(t, old); !strings.HasPrefix(got, "1 ") {
			t.Errorf("round %d: an old client is answered %q", round, got)
		}
	}
	awaitNotes(t, d, "replaced", "1\n1\n1\n")
	awaitNotes(t, d, "resumed", "1\n1\n1\n")
	daemontest.Upgrade(t, d)
	awaitServing(t, d, 5)
	if got := askLine(t, dialLine(t, d)); !strings.HasPrefix(got, "5 ") {
		t.Errorf("after the last upgrade a client is answered %q", got)
	}
}

// dialNow connects to the group line, whoever serves.
func dialNow(t *testing.T, d *daemon.Daemon) net.Conn {
	t.Helper()
	s, err := process.ReadState(d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	network, address, _ := strings.Cut(s.Listen["line"], " ")
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestResumeWithoutALock has the parent serve again where the lock's file is gone and cannot be made anew. It takes back its files when that is possible.
func TestResumeWithoutALock(t *testing.T) {
	d := startResuming(t, lineGroup)
	dialLine(t, d)
	one := awaitServing(t, d, 1)
	daemontest.Upgrade(t, d)
	two := awaitServing(t, d, 2)
	_, address, _ := strings.Cut(two.Listen["line"], " ")
	lock := process.LockPath(d.PIDFile)
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o755)); err != nil {
		t.Fatal(err)
	}
	signalState(t, two, syscall.SIGKILL)
	daemontest.AwaitEnd(t, two)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := askLine(t, conn); !strings.HasPrefix(got, "1 ") {
		t.Errorf("%q answers, want generation 1", got)
	}
	daemontest.Await(t, "the PID file names generation 1", func() bool { pid, err := process.ReadPID(d.PIDFile); return err == nil && pid == one.PID })
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	awaitServing(t, d, 1)
	daemontest.Upgrade(t, d)
}

// TestStopAfterResume leaves nothing behind.
func TestStopAfterResume(t *testing.T) {
	d := startResuming(t, lineGroup)
	dialLine(t, d)
	daemontest.Upgrade(t, d)
	strike(t, d, syscall.SIGKILL)
	awaitServing(t, d, 1)
	address := dialNow(t, d).RemoteAddr().String()
	if _, err := control.Stop(t.Context(), d.PIDFile); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after the stop: %v, want %v", err, syscall.ECONNREFUSED)
	}
	if err := daemontest.WaitAlive(t, d, 0, 20*time.Second); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(d.PIDFile + "*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}

// TestStopWhileOneStandsBy must leave no socket open that nobody accepts from, however long the older generation lives.
func TestStopWhileOneStandsBy(t *testing.T) {
	d := startResuming(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 2s\n")
	dialLine(t, d) // generation 1 has it until its stop_timeout is over
	daemontest.Upgrade(t, d)
	address := dialNow(t, d).RemoteAddr().String()
	two, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	signalState(t, two, syscall.SIGTERM)
	daemontest.Await(t, "the daemon refuses clients", func() bool {
		conn, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if alive := d.Alive(); len(alive) == 0 {
		t.Error("nobody drains any more: the test has looked too late")
	}
}

// TestSocketModeAfterResume has a successor change a socket's mode, and die.
func TestSocketModeAfterResume(t *testing.T) {
	const line = "[line]\nmode tcp\nlisten unix:line.sock\nsocket_mode "
	d := startResuming(t, line+"0660\n")
	if err := d.Configure(line + "0600\n"); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	strike(t, d, syscall.SIGKILL)
	awaitServing(t, d, 1)
	info, err := os.Stat(filepath.Join(d.Dir, "line.sock"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket's mode is %v, %v, want 0660", info.Mode(), err)
	}
}

// TestOnlyTheDirectPredecessorResumes has three generations alive.
func TestOnlyTheDirectPredecessorResumes(t *testing.T) {
	d := startResuming(t, lineGroup)
	first := dialLine(t, d)
	daemontest.Upgrade(t, d)
	second := dialLine(t, d)
	daemontest.Upgrade(t, d)
	strike(t, d, syscall.SIGKILL)
	awaitServing(t, d, 2)
	for range 10 {
		conn := dialNow(t, d)
		if got := askLine(t, conn); !strings.HasPrefix(got, "2 ") {
			t.Errorf("a new client is answered %q, want by generation 2", got)
		}
		_ = conn.Close()
	}
	daemontest.Upgrade(t, d)
	awaitServing(t, d, 4)
	awaitNotes(t, d, "resumed", "2\n")
	_, _ = first.Close(), second.Close()
	if err := daemontest.WaitAlive(t, d, 1, 20*time.Second); err != nil {
		t.Error(err)
	}
}

// TestDroppedGroupIsRefusedAtOnce, although two older generations that had it still drain.
func TestDroppedGroupIsRefusedAtOnce(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Hooked(t), lineGroup)
	d.Env = append(d.Env, "HOOKED_RESUME=yes")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	dialLine(t, d)
	daemontest.Upgrade(t, d)
	dialLine(t, d)
	was := daemontest.Target(t, d, "line").Address
	if err := d.Configure(lineGroup[:len("[line]\nmode tcp\n")] + "listen 127.0.0.2:0\nstop_timeout 100ms\n"); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "the old address is refused", func() bool {
		conn, err := net.DialTimeout("tcp", was, 10*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if n := len(d.Alive()); n != 3 {
		t.Errorf("%d generations live, want 3", n)
	}
	// Whoever has lost an address does not come back.
	strike(t, d, syscall.SIGKILL)
	daemontest.Await(t, "nobody serves", func() bool {
		_, err := process.Find(d.PIDFile)
		return errors.Is(err, process.ErrNotRunning)
	})
}

// TestResumeAfterProbation: what has passed it can still die.
func TestResumeAfterProbation(t *testing.T) {
	d := startResuming(t, lineGroup, "probation 100ms")
	dialLine(t, d)
	for range 2 {
		daemontest.Upgrade(t, d)
		strike(t, d, syscall.SIGKILL)
		awaitServing(t, d, 1)
	}
	daemontest.Upgrade(t, d)
	awaitServing(t, d, 4)
}
