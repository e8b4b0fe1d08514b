package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

const supervised = `
[gozd]
pidfile    PIDFILE
log        LOG
supervise  yes

[web]
mode    http
listen  unix:web.sock
`

// manager is a program that starts the daemon and watches the process that it has started.
type manager interface {
	pid(t *testing.T) int // of that process
	hup(t *testing.T)
	usr1(t *testing.T)
	stop(t *testing.T) // waits for its end
	start(t *testing.T)
}

// checkManaged has the daemon, which the manager has started, be upgraded, rotated, killed and stopped: the process that
// is watched stays, and no client loses anything but by the kill.
func checkManaged(t *testing.T, d *daemon.Daemon, m manager) {
	t.Helper()
	awaitGeneration(t, d, 1)
	front := m.pid(t)
	if front == pid(t, d) {
		t.Fatalf("the process %d serves itself", front)
	}
	l := clients(t, daemontest.Target(t, d, "web"))
	for generation := 1; generation < 4; generation++ {
		awaitServed(t, l, generation)
		upgradeByTool(t, d)
		pid(t, d) // and d knows this generation, too
	}
	awaitServed(t, l, 4)
	m.hup(t)
	awaitServed(t, l, 5)
	checkReopened(t, d, m)
	endLoad(t, l)
	if now := m.pid(t); now != front {
		t.Errorf("the process that is watched is %d, and was %d", now, front)
	}

	s, err := d.State()
	if err != nil || s.Generation != 5 {
		t.Fatalf("the state is %+v, %v, want generation 5", s, err)
	}
	eventually(t, "no other generation stands by", func() bool { return len(d.Alive()) == 1 })
	kill(t, s)
	awaitGeneration(t, d, 1)
	if now := m.pid(t); now == front {
		t.Errorf("the process that is watched is still %d, though the daemon has been started again", now)
	}

	slow := slowRequest(t, daemontest.Target(t, d, "web"))
	m.stop(t)
	if err := <-slow; err != nil {
		t.Errorf("a request during the stop: %v", err)
	}
	if _, err := os.Stat(d.PIDFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the stop the PID file is there: %v", err)
	}
	m.start(t)
	awaitGeneration(t, d, 1)
}

func awaitGeneration(t *testing.T, d *daemon.Daemon, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("generation %d serves", n), func() bool {
		s, err := d.State()
		return err == nil && s.Generation == n && syscall.Kill(s.PID, 0) == nil
	})
}

func upgradeByTool(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), binaries.Gozdctl(t), "upgrade", d.PIDFile).CombinedOutput(); err != nil {
		t.Fatalf("gozdctl upgrade: %v: %s", err, output)
	}
}

// checkReopened moves the log away.
func checkReopened(t *testing.T, d *daemon.Daemon, m manager) {
	t.Helper()
	if err := os.Rename(d.Log, d.Log+".1"); err != nil {
		t.Fatal(err)
	}
	m.usr1(t)
	eventually(t, "all generations write into a new file", func() bool { return allWriteTo(d, d.Log) })
}

// slowRequest begins a request that takes a second, and returns when the daemon has it.
func slowRequest(t *testing.T, to load.Target) <-chan error {
	t.Helper()
	result := loadtest.BeginSlow(t, to, time.Second)
	after, err := load.NewGet(to, load.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = after.Close() }()
	for range 3 { // one that has connected later has been answered: the slow one is in
		if _, err := after.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return result
}

// launch starts a manager, and ends it with the test by a signal on which it ends what it has started.
func launch(t *testing.T, cmd *exec.Cmd, end os.Signal) {
	t.Helper()
	daemon.AdoptOrphans()
	output, err := os.CreateTemp(t.TempDir(), "output") // and no pipe, which the daemon would have too
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(end)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Errorf("%s does not end", cmd.Path)
			_ = cmd.Process.Kill()
			<-done
		}
		_ = output.Close()
		if text, err := os.ReadFile(output.Name()); t.Failed() {
			t.Logf("%s says %s %v", cmd.Path, text, err)
		}
	})
}

// run runs a command of a manager's and returns what it prints.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, output)
	}
	return strings.TrimSpace(string(output))
}

// example returns a file of examples/deploy, with the names of an installed daemon replaced by those of d.
func example(t *testing.T, path string, d *daemon.Daemon, more ...string) string {
	t.Helper()
	text, err := os.ReadFile("../../../examples/deploy/" + path)
	if err != nil {
		t.Fatal(err)
	}
	pairs := append(more, "/usr/local/bin/app", d.Binary, "/etc/app/app.conf", d.Conf, "/usr/local/bin/gozdctl", binaries.Gozdctl(t), "/run/app.pid", d.PIDFile)
	return strings.NewReplacer(pairs...).Replace(string(text))
}
