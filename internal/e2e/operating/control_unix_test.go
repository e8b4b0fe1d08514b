//go:build unix

package operating

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// within is a context for one conversation with a daemon.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// dialControl returns a client of the generation that serves.
func dialControl(t *testing.T, d *daemon.Daemon) *client.Client {
	t.Helper()
	if _, err := d.State(); err != nil { // so that it is ended with the test
		t.Fatal(err)
	}
	c, err := client.Dial(within(t), d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func status(t *testing.T, d *daemon.Daemon) *protocol.Status {
	t.Helper()
	s, err := dialControl(t, d).Status(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// controlSockets are the names of the sockets beside the PID file.
func controlSockets(t *testing.T, d *daemon.Daemon) []string {
	t.Helper()
	paths, err := filepath.Glob(d.PIDFile + ".*.sock")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// awaitSockets waits until there are n: a generation opens its own a moment after it is ready.
func awaitSockets(t *testing.T, d *daemon.Daemon, n int) {
	t.Helper()
	daemontest.Await(t, fmt.Sprintf("%d control sockets", n), func() bool { return len(controlSockets(t, d)) == n })
}

// TestStatusOfManyGenerations has clients hold three generations that have been replaced,
// and one of these stopped.
func TestStatusOfManyGenerations(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine)
	for range 4 {
		dialServing(t, d)
		up, err := dialControl(t, d).Upgrade(within(t), client.UpgradeOptions{NoDrain: true}, nil)
		if err != nil || up.Drained != nil || up.Served.Seconds <= 0 {
			t.Fatalf("upgrade: %+v, %v", up, err)
		}
	}
	s := status(t, d)
	if s.Generation != 5 || len(s.Generations) != 5 || s.PIDFile != d.PIDFile || s.Config != d.Conf || s.Log != d.Log {
		t.Fatalf("status %+v, want generation 5 of 5", s)
	}
	if u := s.Upgrades; u.Succeeded != 4 || u.Failed != 0 || u.LastSeconds == nil || *u.LastSeconds <= 0 || u.InProgress {
		t.Errorf("upgrades %+v, want 4 that succeeded", u)
	}
	for i, g := range s.Generations[:4] {
		if g.Generation != i+1 || g.State != protocol.Draining || g.Reason != "upgrade" || g.Until.Before(time.Now()) {
			t.Errorf("generation %d: %+v, want it to drain", i+1, g)
		}
		if line := g.Groups[1]; line.Name != "line" || line.Open != 1 || line.Accepted < 1 || line.Network != "tcp" || !strings.HasPrefix(line.Address, "127.0.0.1:") {
			t.Errorf("generation %d: group %+v, want the connection that is held", i+1, line)
		}
	}
	last := s.Generations[4]
	if last.State != protocol.Serving || last.Binary != d.Binary || last.Build.Module == "" || last.Build.Go == "" || !last.Until.IsZero() {
		t.Errorf("the serving generation: %+v", last)
	}
	stopped := s.Generations[1].PID
	if err := daemon.Freeze(stopped); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(stopped, syscall.SIGCONT) }()
	s = status(t, d)
	for i, want := range []protocol.State{protocol.Draining, protocol.Unresponsive, protocol.Draining, protocol.Draining, protocol.Serving} {
		if g := s.Generations[i]; g.State != want || g.Generation != i+1 || g.PID == 0 || g.StartTime == 0 {
			t.Errorf("generation %d: %+v, want %s", i+1, g, want)
		}
	}
	alone, err := client.At(d.PIDFile, s.Generations[0].PID).Status(within(t))
	if err != nil || alone.Generation != 1 || len(alone.Generations) != 1 {
		t.Errorf("generation 1 says %+v, %v, want itself alone", alone, err)
	}
}

// dialServing opens a connection to group line of the generation that serves. For a moment after an upgrade
// the old one may still accept; a connection that it gets is closed.
func dialServing(t *testing.T, d *daemon.Daemon) net.Conn {
	t.Helper()
	to := daemontest.Target(t, d, "line")
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		conn, err := net.Dial(to.Network, to.Address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintln(conn, "here"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		s := status(t, d)
		if s.Generations[len(s.Generations)-1].Groups[1].Open > 0 {
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		_ = conn.Close()
	}
	t.Fatal("the serving generation gets no connection")
	return nil
}

// TestLastEventIsNotLost drains a generation to its end, which is the process's.
func TestLastEventIsNotLost(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine)
	for range 5 {
		conn := dialServing(t, d)
		c := dialControl(t, d)
		followed := make(chan error, 1)
		var last protocol.Event
		go func() { followed <- c.Drain(within(t), func(e protocol.Event) { last = e }) }()
		u := beginUpgrade(t, c, client.UpgradeOptions{})
		if e := u.await(t, protocol.DrainBegan); e.Open != 1 || e.Until.Before(time.Now()) || e.PID != c.PID() {
			t.Errorf("event %+v, want one that is open", e)
		}
		_ = conn.Close()
		up, err := u.result(t)
		if err != nil || up.Drained == nil || up.Drained.Ended != 1 || up.Drained.Moved != 0 || up.Drained.Cut != 0 || up.Drained.Seconds <= 0 {
			t.Errorf("upgrade: %+v, %v, want that one has ended", up, err)
		}
		if err := <-followed; err != nil || last.Type != protocol.Drained || last.Ended != 1 {
			t.Errorf("drain: %+v, %v", last, err)
		}
	}
	dialControl(t, d)
	if err := d.WaitAlive(within(t), 1); err != nil {
		t.Error(err)
	}
	awaitSockets(t, d, 1)
}

// TestControlStops ends a daemon in both ways. Neither leaves a file.
func TestControlStops(t *testing.T) {
	for name, end := range map[string]func(*client.Client, context.Context) (*protocol.Answer, error){
		"stop": (*client.Client).Stop, "quit": (*client.Client).Quit,
	} {
		d := daemontest.Start(t, daemontest.WebAndLine)
		daemontest.Upgrade(t, d)
		c := dialControl(t, d)
		if a, err := c.Reopen(within(t)); err != nil || a.Generation != 2 {
			t.Errorf("reopen: %+v, %v", a, err)
		}
		if a, err := end(c, within(t)); err != nil || a.PID != c.PID() || a.Generation != 2 {
			t.Errorf("%s: %+v, %v, want an answer of pid %d", name, a, err, c.PID())
		}
		if err := d.WaitAlive(within(t), 0); err != nil {
			t.Fatal(err)
		}
		daemontest.WantNothingLeft(t, d)
		if _, err := client.Dial(within(t), d.PIDFile); !errors.Is(err, process.ErrNotRunning) {
			t.Errorf("Dial after %s: %v, want process.ErrNotRunning", name, err)
		}
	}
}

// TestControlSocketFile looks at the socket's mode, and at what is left of one whose process
// is killed.
func TestControlSocketFile(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine)
	c := dialControl(t, d)
	info, err := os.Lstat(c.Path())
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("%v, %v, want a socket of mode 0600", info.Mode(), err)
	}
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := d.WaitAlive(within(t), 0); err != nil {
		t.Fatal(err)
	}
	if got := controlSockets(t, d); len(got) != 1 {
		t.Fatalf("sockets %v after a SIGKILL, want one", got)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := dialControl(t, d); again.Path() == c.Path() {
		t.Fatal("the next process has the same PID")
	}
	if got := controlSockets(t, d); len(got) != 1 || got[0] == c.Path() {
		t.Errorf("sockets %v, want one, and not %s", got, c.Path())
	}
}

// TestFailedStartLeavesNoSocket starts a program that does not get ready.
func TestFailedStartLeavesNoSocket(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.WebAndLine, "upgrade_timeout 300ms")
	daemontest.Fault("hang")(t, d)
	if err := d.Start(t.Context()); err == nil {
		t.Error("the start succeeded")
	}
	if got := controlSockets(t, d); len(got) != 0 {
		t.Errorf("sockets %v are left", got)
	}
}

// TestPIDFileTooLongForControl starts nothing.
func TestPIDFileTooLongForControl(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.WebAndLine)
	text := "[gozd]\nlog app.log\npidfile /tmp/" + strings.Repeat("x", 90) + "\n" + daemontest.WebAndLine
	if err := os.WriteFile(d.Conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := d.Command(t.Context()).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "app.conf:3: [gozd]: pidfile ") || !strings.Contains(string(output), "too long for the control sockets beside it") {
		t.Errorf("start: %v, %s", err, output)
	}
}
