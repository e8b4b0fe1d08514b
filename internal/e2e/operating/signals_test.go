package operating

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// holdLine opens a connection to the serving generation that stays with it until
// the test ends.
func holdLine(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	to := daemontest.Target(t, d, "line")
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintln(conn, "here"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
}

// awaitOpen waits until the daemon has accepted the connection of a request just
// begun: it is begun for sure when another, later one has been answered.
func awaitOpen(t *testing.T, to load.Target) {
	t.Helper()
	c, err := load.NewGet(to, load.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for range 3 {
		if _, err := c.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStopLetsRequestsFinish stops by TERM and by QUIT while a request runs. Nothing
// is left of the daemon then.
func TestStopLetsRequestsFinish(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(fmt.Sprint(sig), func(t *testing.T) {
			d := daemontest.Start(t, "[web]\nmode http\nlisten unix:web.sock\n")
			to := daemontest.Target(t, d, "web")
			slow := loadtest.BeginSlow(t, to, time.Second)
			awaitOpen(t, to)
			daemontest.SignalServing(t, d, sig)
			if err := <-slow; err != nil {
				t.Errorf("the request in flight: %v", err)
			}
			if err := d.WaitAlive(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			daemontest.WantNothingLeft(t, d)
		})
	}
}

// TestStopTimeoutCutsWhatIsLeft stops a daemon with a connection that never ends.
func TestStopTimeoutCutsWhatIsLeft(t *testing.T) {
	d := daemontest.Start(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 200ms\n")
	holdLine(t, d)
	daemontest.SignalServing(t, d, syscall.SIGTERM)
	if err := d.WaitAlive(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if log := d.LogText(); !strings.Contains(log, `msg="drain finished"`) || !strings.Contains(log, "cut=1") {
		t.Errorf("the log does not say that a connection was cut:\n%s", log)
	}
}

// TestStopReachesEveryGeneration stops a daemon of which an old generation drains.
func TestStopReachesEveryGeneration(t *testing.T) {
	d := daemontest.Start(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 100ms\n")
	holdLine(t, d)
	daemontest.Upgrade(t, d)
	daemontest.Upgrade(t, d)
	if err := d.WaitAlive(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	daemontest.SignalServing(t, d, syscall.SIGTERM)
	if err := d.WaitAlive(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

// signal sends a signal to a generation.
func signal(t *testing.T, s *process.State, sig os.Signal) {
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

// TestHurriedDrainIsOne stops a generation that drains already: its drain goes on with less time, and is told once.
func TestHurriedDrainIsOne(t *testing.T) {
	d := daemontest.Start(t, "[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 100ms\n")
	holdLine(t, d)
	old, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	signal(t, old, syscall.SIGTERM)
	if err := daemontest.WaitAlive(t, d, 1, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	const told = `msg="drain finished" generation=1 `
	log := d.LogText()
	if n := strings.Count(log, told); n != 1 || !strings.Contains(log, "reason=stop moved=0 ended=0 cut=1") {
		t.Errorf("%d lines tell of the drain, want one, of a stop that has cut a connection:\n%s", n, log)
	}
}

// TestReopenReachesEveryGeneration moves the log away, as logrotate does.
func TestReopenReachesEveryGeneration(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n[line]\nmode tcp\nlisten 127.0.0.1:0\nstop_timeout 0s\n")
	holdLine(t, d)
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	if err := os.Rename(d.Log, d.Log+".1"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(d.Log + ".1") }()
	if output, err := d.Command(t.Context(), "-s", "reopen").CombinedOutput(); err != nil {
		t.Fatalf("-s reopen: %v: %s", err, output)
	}
	second, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []process.State{*first, *second} {
		awaitLogTarget(t, s.PID, d.Log)
	}
}

// TestReopenThatFails puts a directory in the log's place: whoever asks learns that nothing was reopened.
func TestReopenThatFails(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	log := d.Log
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(log + ".1") }()
	if err := os.Mkdir(log, 0o755); err != nil { // in its place
		t.Fatal(err)
	}
	output, err := d.Command(t.Context(), "-s", "reopen").CombinedOutput()
	if err == nil || !strings.Contains(string(output), "reopen: ") || !strings.Contains(string(output), log) {
		t.Errorf("-s reopen: %v: %s; want an error that names the log", err, output)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	if output, err := d.Command(t.Context(), "-s", "reopen").CombinedOutput(); err != nil {
		t.Errorf("-s reopen: %v: %s", err, output)
	}
}

// awaitLogTarget waits until a process's standard error is the file at path.
func awaitLogTarget(t *testing.T, pid int, path string) {
	t.Helper()
	link := fmt.Sprintf("/proc/%d/fd/2", pid)
	deadline := time.Now().Add(30 * time.Second)
	for {
		got, err := os.Readlink(link)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skipf("open files are looked up in /proc: %v", err)
		}
		if got == path {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d writes to %s, want %s", pid, got, path)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestHUPsFoldIntoOne sends many at once: each is followed by an upgrade, but not
// by one of its own.
func TestHUPsFoldIntoOne(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	for range 20 {
		daemontest.SignalServing(t, d, syscall.SIGHUP)
	}
	daemontest.Upgrade(t, d)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	if s.Generation < 2 || s.Generation > 10 {
		t.Errorf("20 signals at once led to generation %d", s.Generation)
	}
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
