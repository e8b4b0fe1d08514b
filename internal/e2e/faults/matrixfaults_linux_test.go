package faults

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// other returns the other process, or 0 if there is none.
func (c *cell) other(r role) int {
	if r == parent {
		return c.pids[child]
	}
	return c.pids[parent]
}

// kill ends a process at once. It stands still before, so that it is known for sure
// whose connections it had: those that the other process has too are not lost with it.
func (c *cell) kill(victim role) {
	c.t.Helper()
	pid := c.pids[victim]
	require.NoError(c.t, daemon.Freeze(pid))
	c.doomed = portsOf(c.t, pid)
	survivor := c.other(victim)
	if survivor != 0 {
		c.safe = portsOf(c.t, survivor)
		maps.DeleteFunc(c.doomed, func(port int, _ bool) bool { return c.safe[port] })
	}
	if survivor == 0 {
		c.killed, c.since = true, time.Now()
	}
	// Whoever asked does not know yet that a child was started for him, and asks the child too.
	c.again = victim == parent && c.step.before(points.Configuration)
	signalTo(c.t, pid, syscall.SIGKILL)
	awaitGone(c.t, pid)
}

// pauseChild has the child stand still for a while, at just this step.
func (c *cell) pauseChild() {
	c.t.Helper()
	c.pauses = true
	require.NoError(c.t, daemon.Freeze(c.pids[child]))
	c.release()
	time.Sleep(pauseLength()) // the fault itself
	signalTo(c.t, c.pids[child], syscall.SIGCONT)
}

// hangUp asks for upgrades as "killall -HUP" does, also of a child that is not
// ready.
func (c *cell) hangUp() {
	c.t.Helper()
	c.again = true
	for _, pid := range c.pids {
		signalTo(c.t, pid, syscall.SIGHUP)
	}
}

// terminate asks the daemon to end, by the PID file.
func (c *cell) terminate() {
	c.t.Helper()
	pid, err := process.ReadPID(c.d.PIDFile)
	if err != nil {
		c.t.Fatal(err)
	}
	c.since = time.Now()
	signalTo(c.t, pid, syscall.SIGTERM)
}

// mountSmall makes a directory a file system of a few pages. Where that is forbidden, as in
// most containers, it returns false, and the daemon itself has to play that its disk
// is full.
func mountSmall(t *testing.T, dir string) bool {
	t.Helper()
	if err := unix.Mount("gozd-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("no file system of its own: %v", err)
		return false
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return true
}

// fillDisk leaves no room on the file system of the PID file.
func (c *cell) fillDisk() {
	c.t.Helper()
	c.scarce = true
	if !c.small {
		c.touch(points.DiskFull)
		c.undo = append(c.undo, func() { _ = os.Remove(filepath.Join(c.faults, points.DiskFull)) })
		return
	}
	filler := filepath.Join(c.runDir, "filler")
	err := os.WriteFile(filler, make([]byte, 64<<10), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		c.t.Fatalf("fill the disk: %v, want %v", err, syscall.ENOSPC)
	}
	c.undo = append(c.undo, func() { _ = os.Remove(filler) })
}

// fewestFiles is a limit under which a process gets no more descriptors, whatever it
// closes: it keeps its standard streams.
const fewestFiles = 3

// takeDescriptors leaves the processes none but those that they have.
func (c *cell) takeDescriptors() {
	c.t.Helper()
	c.scarce = true
	for _, pid := range c.pids {
		before := limitFiles(c.t, pid, fewestFiles)
		c.undo = append(c.undo, func() {
			limit := unix.Rlimit{}
			if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
				return // it has ended
			}
			limit.Cur = before
			if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil && !errors.Is(err, syscall.ESRCH) {
				c.t.Error(err)
			}
		})
	}
}

// deleteBinary removes what the upgrade is to start.
func (c *cell) deleteBinary() {
	c.t.Helper()
	kept := c.d.Binary + ".kept"
	if err := os.Rename(c.d.Binary, kept); err != nil {
		c.t.Fatal(err)
	}
	c.undo = append(c.undo, func() {
		if err := daemon.Install(kept, c.d.Binary); err != nil {
			c.t.Error(err)
		}
		_ = os.Remove(kept)
	})
}
