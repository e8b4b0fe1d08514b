//go:build unix

package upgrade_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// patience is how long a test waits for something that happens at once.
const patience = 30 * time.Second

// daemon is a daemon under test.
type daemon struct {
	addr  string
	next  string             // path of the file with the next generation's behaviour
	first *exec.Cmd          // the first generation
	born  []*process.Process // all generations that are known, oldest first
	ended []int              // PIDs of those that have failed
}

// start starts the first generation.
func start(t *testing.T, timeout time.Duration) *daemon {
	t.Helper()
	if err := adoptOrphans(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := &daemon{addr: ln.Addr().String(), next: filepath.Join(t.TempDir(), "next")}
	d.first = exec.Command(os.Args[0])
	d.first.Env = append(os.Environ(), upgrade.RoleEnv+"=generation", nextEnv+"="+d.next, timeoutEnv+"="+timeout.String(),
		"GORACE=atexit_sleep_ms=0")
	d.first.ExtraFiles = []*os.File{f}
	d.first.Stderr = openLog(t)
	if err := d.first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.end(t) })
	d.know(t, d.first.Process.Pid, 0)
	return d
}

// openLog returns a file for what generations print, which a failed test shows.
// It is no pipe: the end of one would come with the last generation's.
func openLog(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer f.Close()
		if text, err := os.ReadFile(f.Name()); err == nil && t.Failed() {
			t.Logf("the generations say:\n%s", text)
		}
	})
	return f
}

// know notes a generation that has to be ended.
func (d *daemon) know(t *testing.T, pid int, startTime uint64) {
	t.Helper()
	p, err := process.Open(pid, startTime)
	if err != nil {
		t.Fatal(err)
	}
	d.born = append(d.born, p)
}

// end kills the generations, the oldest first: so each of the others is this
// process's child when it dies.
func (d *daemon) end(t *testing.T) {
	t.Helper()
	for _, p := range d.born {
		d.kill(t, p)
		p.Close()
	}
	for _, pid := range d.ended {
		reap(pid)
	}
}

// kill kills a generation and waits for its end.
func (d *daemon) kill(t *testing.T, p *process.Process) {
	t.Helper()
	_ = p.Signal(os.Kill) // or it has ended already
	if p.PID == d.first.Process.Pid {
		_ = d.first.Wait() // killed
		return
	}
	reap(p.PID)
}

// reap waits for a process that has ended or has been killed. If its parent lives,
// that one does it.
func reap(pid int) {
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// ask sends a command to the serving generation.
func (d *daemon) ask(t *testing.T, command string) answer {
	t.Helper()
	a, err := d.try(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return a
}

func (d *daemon) try(command string) (answer, error) {
	var a answer
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		return a, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return a, err
	}
	err = json.NewDecoder(bufio.NewReader(c)).Decode(&a)
	return a, err
}

// behave says what the next generation will do.
func (d *daemon) behave(t *testing.T, how string) {
	t.Helper()
	if err := os.WriteFile(d.next, []byte(how), 0o600); err != nil {
		t.Fatal(err)
	}
}

// upgrade upgrades to a generation that serves, and returns what that one says.
func (d *daemon) upgrade(t *testing.T) answer {
	t.Helper()
	d.behave(t, "serve")
	a := d.ask(t, "upgrade")
	if a.Error != "" {
		t.Fatalf("generation %d, pid %d: %s", a.Generation, a.PID, a.Error)
	}
	now := d.ask(t, "who")
	if now.PID != a.Successor || now.Generation != a.Generation+1 {
		t.Fatalf("generation %d, pid %d serves after an upgrade from %d to pid %d", now.Generation, now.PID, a.Generation, a.Successor)
	}
	d.know(t, now.PID, now.StartTime)
	return now
}

var eventually = require.Eventually

// gone waits for the end of a process that has failed: when it has been killed,
// the kernel still has something to do.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the process that failed is gone", func() bool {
		p, err := process.Open(pid, 0)
		if err == nil {
			p.Close()
		}
		return err != nil
	})
}

// childSays waits for a child that has read its parent's message, and returns
// its PID.
func (d *daemon) childSays(t *testing.T) int {
	t.Helper()
	var pid int
	eventually(t, "the child says its PID", func() bool {
		data, _ := os.ReadFile(d.next + ".pid")
		_, err := fmt.Sscan(string(data), &pid)
		return err == nil
	})
	d.ended = append(d.ended, pid)
	return pid
}
