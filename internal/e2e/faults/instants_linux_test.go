package faults

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// instants is how often a test aims at an instant.
func instants(t *testing.T) int {
	t.Helper()
	if testing.Short() {
		return 3
	}
	return 12
}

// TestChildThatComesUpAsItsTimeEnds has new generations become ready just when their parent's patience is over. Whatever comes of
// it, one of the two serves, and it is the one that the asker has been told of.
func TestChildThatComesUpAsItsTimeEnds(t *testing.T) {
	t.Parallel()
	d := daemontest.Start(t, daemontest.OnlyWeb, "upgrade_timeout 1s")
	for i := range instants(t) {
		before, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		late := 970*time.Millisecond + time.Duration(i)*15*time.Millisecond
		daemontest.Fault("late "+late.String())(t, d)
		up, err := d.Upgrade(t.Context())
		failed := new(client.UpgradeError)
		switch {
		case err == nil && up.OldPID == before.PID:
		case errors.As(err, &failed) && failed.PID == before.PID && strings.Contains(failed.Reason, "not ready after 1s"):
		default:
			t.Fatalf("a child that comes up after %v: the asker is told %+v, %v", late, up, err)
		}
		wantServed(t, d, err == nil, before.PID)
	}
	daemontest.UpgradeToOther(t, d)
}

// wantServed checks that a client is served, and that PID file, state file and lock name one generation: another than before if the
// upgrade has succeeded.
func wantServed(t *testing.T, d *daemon.Daemon, upgraded bool, before int) {
	t.Helper()
	wantAnswer(t, daemontest.Target(t, d, "web").Address)
	r, err := process.Find(d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid, err := process.ReadPID(d.PIDFile)
	if err != nil || pid != r.PID || (pid != before) != upgraded {
		t.Errorf("the PID file names %d, %v, the state file %d; before it was %d, upgraded %v", pid, err, r.PID, before, upgraded)
	}
}

// wantAnswer asks once, whoever serves and whatever that answers.
func wantAnswer(t *testing.T, address string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, cellPatience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(cellPatience))
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "HTTP/") {
		t.Errorf("a client is answered %q, %v", line, err)
	}
}

// watchForChild returns a process's first new child as soon as it is there, and is closed at the end of ctx.
func watchForChild(ctx context.Context, parent int) <-chan int {
	before, found := daemon.Children(parent), make(chan int, 1)
	go func() {
		defer close(found)
		for ctx.Err() == nil {
			for _, pid := range daemon.Children(parent) {
				if !slices.Contains(before, pid) {
					found <- pid
					return
				}
			}
		}
	}()
	return found
}

// TestParentKilledRightAfterTheFork kills the only generation that serves within milliseconds after it has started another. That one
// has been told everything before, and serves.
func TestParentKilledRightAfterTheFork(t *testing.T) {
	t.Parallel()
	for i := range instants(t) {
		d := daemontest.Start(t, daemontest.OnlyWeb)
		before, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), cellPatience)
		child := watchForChild(ctx, before.PID)
		signalTo(t, before.PID, syscall.SIGHUP)
		pid, ok := <-child
		cancel()
		if !ok {
			t.Fatal("no child has been started")
		}
		time.Sleep(time.Duration(i%5) * time.Millisecond) // the instant itself
		signalTo(t, before.PID, syscall.SIGKILL)
		awaitGone(t, before.PID)
		daemontest.Await(t, "the child as the one that serves", func() bool {
			s, err := d.State()
			return err == nil && s.PID == pid
		})
		wantServed(t, d, true, before.PID)
		daemontest.UpgradeToOther(t, d)
		if err := d.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestHUPInTheFirstMillisecond sends a signal that is meant for the whole daemon to processes that have just been started.
func TestHUPInTheFirstMillisecond(t *testing.T) {
	t.Parallel()
	d := daemontest.Start(t, daemontest.OnlyWeb)
	for i := range instants(t) {
		before, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		sig := []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1}[i%2]
		ctx, cancel := context.WithCancel(t.Context())
		child := watchForChild(ctx, before.PID)
		hit := make(chan error, 1)
		go func() {
			pid, ok := <-child
			if !ok {
				hit <- errors.New("no child has been started")
				return
			}
			hit <- syscall.Kill(pid, sig)
		}()
		if err := daemon.Install(binaries.Mixed2(t), d.Binary); err != nil {
			t.Fatal(err)
		}
		if up, err := d.Upgrade(t.Context()); err != nil || up.Served.PID == before.PID {
			t.Errorf("%v to a child that has just been started: the asker is told %+v, %v", sig, up, err)
		}
		cancel()
		if err := <-hit; err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Log(err) // an upgrade that the HUP before has asked for has come first
		}
	}
}

// TestSuccessorThatDiesAMomentLater upgrades an idle daemon to programs that serve, and then fail for want of something else that
// they need. The old process has no connections any more, and is there all the same to serve again.
func TestSuccessorThatDiesAMomentLater(t *testing.T) {
	t.Parallel()
	d := daemontest.Start(t, daemontest.OnlyWeb)
	before, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{"0s", "10ms", "200ms", "1s"} {
		daemontest.Fault("serve for "+after)(t, d)
		if _, err := d.Upgrade(t.Context()); err != nil && !errors.As(err, new(*client.UpgradeError)) { // it may die even before
			t.Fatalf("a program that serves for %s: %v", after, err)
		}
		daemontest.Await(t, "the old process as the one that serves again", func() bool {
			s, err := d.State()
			return err == nil && s.PID == before.PID
		})
		wantServed(t, d, false, before.PID)
	}
	if err := daemon.Install(binaries.Mixed2(t), d.Binary); err != nil {
		t.Fatal(err)
	}
	up, err := d.Upgrade(t.Context())
	if err != nil || up.OldPID != before.PID {
		t.Fatalf("the next upgrade: %+v, %v", up, err)
	}
	wantServed(t, d, true, before.PID)
}
