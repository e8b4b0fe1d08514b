package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// TestSuccessorIsLost kills a successor that has taken over, behind which its parent does not stand by since the addresses
// have changed. Nobody serves, and the asker must not be told otherwise.
func TestSuccessorIsLost(t *testing.T) {
	t.Parallel()
	web := func(address string) string { return "[web]\nmode http\nlisten " + address + "\n" }
	d := daemontest.Prepare(t, buildWithFaults(t), web(freeport.Address(t)))
	dir := filepath.Join(d.Dir, "faults")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Env = []string{points.Dir + "=" + dir}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(web(freeport.Address(t))); err != nil {
		t.Fatal(err)
	}
	pid, told := holdUpgrade(t, d, dir, points.TookOver)
	daemontest.AwaitLog(t, d, "msg=upgraded generation=1") // or its death would fail the upgrade
	signalTo(t, pid, syscall.SIGKILL)
	awaitGone(t, pid)
	err := <-told
	failed := new(client.UpgradeError)
	if !errors.As(err, &failed) || failed.Stage != "lost" || failed.Remains() != "nobody serves" {
		t.Errorf("the asker is told %v, want that nobody serves", err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
}

// holdUpgrade asks for an upgrade, and returns the process that has stopped at a point.
func holdUpgrade(t *testing.T, d *daemon.Daemon, dir, point string) (pid int, told <-chan error) {
	t.Helper()
	ask := filepath.Join(dir, point)
	if err := os.WriteFile(ask, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := d.Upgrade(context.WithoutCancel(t.Context()))
		result <- err
	}()
	daemontest.Await(t, "process "+point, func() bool {
		marks, _ := filepath.Glob(ask + ".*")
		if len(marks) == 0 {
			return false
		}
		_, err := fmt.Sscan(strings.TrimPrefix(marks[0], ask+"."), &pid)
		return err == nil
	})
	_ = os.Remove(ask)
	return pid, result
}

// TestSocketOfADeadSuccessor has a successor bind a Unix socket anew, whose file somebody has removed, and die. What it has left there is
// nobody's, and the next one binds the socket once more.
func TestSocketOfADeadSuccessor(t *testing.T) {
	t.Parallel()
	d := daemontest.Prepare(t, buildWithFaults(t), "[web]\nmode http\nlisten unix:web.sock\n")
	dir := filepath.Join(d.Dir, "faults")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Env = []string{points.Dir + "=" + dir}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(d.Dir, "web.sock")
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	pid, told := holdUpgrade(t, d, dir, points.BeforeReady)
	if _, err := os.Stat(socket); err != nil {
		t.Fatal(err)
	}
	signalTo(t, pid, syscall.SIGKILL)
	if err := <-told; !errors.As(err, new(*client.UpgradeError)) {
		t.Fatalf("the upgrade: %v, want a failure", err)
	}
	daemontest.Upgrade(t, d)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatalf("after the next upgrade nobody can connect: %v", err)
	}
	_ = conn.Close()
}
