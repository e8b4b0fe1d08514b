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
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
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

// eventually waits until a condition holds that nobody tells us of.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	d := start(t, 7*time.Second)
	one := d.ask(t, "who")
	if one.PID != d.first.Process.Pid || !reflect.DeepEqual(one.Manifest, upgrade.Manifest{Generation: 1}) || one.ParentExited {
		t.Errorf("the first generation is %+v", one)
	}
	two := d.upgrade(t)
	want := upgrade.Manifest{
		Version:    1,
		Generation: 2,
		Timeout:    7 * time.Second,
		PIDFile:    "/run/app.pid",
		Sockets:    []upgrade.Socket{{ID: "1.1", Group: "web", Network: "tcp", Address: "127.0.0.1:0", Bound: d.addr}},
		Ancestors:  []upgrade.Ancestor{{Generation: 1, PID: one.PID, StartTime: one.StartTime}},
	}
	if !reflect.DeepEqual(two.Manifest, want) {
		t.Errorf("the manifest is %+v, want %+v", two.Manifest, want)
	}
	three := d.upgrade(t)
	want.Generation = 3
	want.Ancestors = append(want.Ancestors, upgrade.Ancestor{Generation: 2, PID: two.PID, StartTime: two.StartTime})
	if !reflect.DeepEqual(three.Manifest, want) {
		t.Errorf("the next manifest is %+v, want %+v", three.Manifest, want)
	}
	for _, a := range []answer{two, three} {
		if a.Note != noteText || a.ParentExited {
			t.Errorf("generation %d got the file with %q, want %q; parent exited: %v", a.Generation, a.Note, noteText, a.ParentExited)
		}
	}
}

// tableflip alone refuses an upgrade while an older generation lives. If this
// fails with another version of it, see relay.
func TestFiveGenerationsAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	for len(d.born) < 5 {
		d.upgrade(t)
	}
	for i, p := range d.born {
		if err := p.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("generation %d: %v", i+1, err)
		}
	}
	last := d.ask(t, "who")
	if len(last.Manifest.Ancestors) != 4 || last.ParentExited {
		t.Errorf("the fifth generation is %+v", last)
	}
	for _, p := range d.born[:3] {
		d.kill(t, p)
	}
	if d.ask(t, "who").ParentExited {
		t.Error("the fifth generation takes the end of an older one for that of its parent")
	}
	d.kill(t, d.born[3])
	eventually(t, "the parent's end is seen", func() bool { return d.ask(t, "who").ParentExited })
	d.upgrade(t)
}

// tableflip learns in a goroutine of its own that this process is ready. An
// upgrade that was asked for before must not fail because of that.
func TestUpgradeRightAfterReady(t *testing.T) {
	t.Parallel()
	const last = 6
	d := start(t, patience)
	d.behave(t, fmt.Sprintf("eager %d", last))
	if a := d.ask(t, "upgrade"); a.Error != "" {
		t.Fatal(a.Error)
	}
	var now answer
	eventually(t, "the last generation serves", func() bool {
		var err error
		now, err = d.try("who")
		return err == nil && (now.Generation == last || now.Error != "")
	})
	for _, a := range now.Manifest.Ancestors[1:] {
		d.know(t, a.PID, a.StartTime)
	}
	d.know(t, now.PID, now.StartTime)
	if now.Generation != last {
		t.Errorf("generation %d: %s", now.Generation, now.Error)
	}
}

func TestFailedUpgrade(t *testing.T) {
	t.Parallel()
	tests := []struct {
		next  string
		stage string
		pid   bool // it lived long enough to say who it is
		says  string
	}{
		{"exit", upgrade.StageStart, false, "exited: exit status 3"},
		{"clean", upgrade.StageStart, false, "exited with status 0 before it was ready"},
		{"panic", upgrade.StageStart, false, "exited: exit status 2"},
		{"leave", upgrade.StageStart, true, "exited: exit status 4"},
		{"crash", upgrade.StageStart, true, "panic: boom (bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade_test.crash, generation_unix_test.go:"},
		{"refuse", upgrade.StageConfiguration, true, "app.conf:1: [web]: no"},
	}
	for _, test := range tests {
		t.Run(test.next, func(t *testing.T) {
			t.Parallel()
			d := start(t, patience)
			before := d.ask(t, "who")
			d.behave(t, test.next)
			a := d.ask(t, "upgrade")
			checkFailure(t, a, test.stage, test.pid, test.says)
			if a.Took > patience/5 {
				t.Errorf("it took %v to see that the process is gone", a.Took)
			}
			if after := d.ask(t, "who"); !reflect.DeepEqual(after, before) {
				t.Errorf("%+v serves after a failed upgrade, want %+v", after, before)
			}
			d.upgrade(t)
		})
	}
}

func checkFailure(t *testing.T, a answer, stage string, hasPID bool, says string) {
	t.Helper()
	if a.Stage != stage || (a.ErrorPID > 0) != hasPID || !strings.Contains(a.Error, says) {
		t.Errorf("the upgrade failed at %q, pid %d: %s; want %q, pid %v, %q", a.Stage, a.ErrorPID, a.Error, stage, hasPID, says)
	}
	if a.ErrorPID > 0 && !strings.HasPrefix(a.Error, fmt.Sprintf("upgrade failed at %s: pid %d: ", stage, a.ErrorPID)) {
		t.Errorf("the error says %q", a.Error)
	}
	if a.ErrorPID > 0 {
		gone(t, a.ErrorPID)
	}
}

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

func TestSuccessorHangs(t *testing.T) {
	t.Parallel()
	const timeout = 1500 * time.Millisecond
	for next, hasPID := range map[string]bool{"hang": true, "sleep": false} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			d := start(t, timeout)
			d.behave(t, next)
			a := d.ask(t, "upgrade")
			gone(t, d.childSays(t))
			checkFailure(t, a, upgrade.StageReady, hasPID, "not ready after 1.5s: ")
			if a.Took < timeout {
				t.Errorf("it had %v, want %v", a.Took, timeout)
			}
			d.upgrade(t)
		})
	}
}

func TestUpgradeThatCannotStart(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	checkFailure(t, d.ask(t, "upgrade without a binary"), upgrade.StageStart, false, "no such file or directory")
	d.upgrade(t)
	checkFailure(t, d.ask(t, "upgrade with too many groups"), upgrade.StageStart, false, "the mailbox holds 65536")
}

func TestStopDuringUpgrade(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "hang")
	failed := make(chan answer, 1)
	go func() {
		a, err := d.try("upgrade")
		if err != nil {
			a.Error = err.Error()
		}
		failed <- a
	}()
	pid := d.childSays(t)
	d.ask(t, "stop")
	a := <-failed
	gone(t, pid)
	if a.Stage != upgrade.StageStart || !strings.Contains(a.Error, "terminating") {
		t.Errorf("the upgrade failed at %q: %s", a.Stage, a.Error)
	}
	if a.Took > patience/2 {
		t.Errorf("it took %v", a.Took)
	}
	if a := d.ask(t, "upgrade"); a.Error == "" {
		t.Error("an upgrade after Stop succeeded")
	}
}

// What decides is one byte. A successor that has said everything else has still failed, and its parent
// is as it was.
func TestSuccessorDiesBetweenReportAndReady(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	for range 3 {
		d.behave(t, "die")
		a := d.ask(t, "upgrade")
		checkFailure(t, a, upgrade.StageReady, true, "it was ready and ended before it took over: child pid=")
		if now := d.ask(t, "who"); now.Generation != 1 {
			t.Errorf("generation %d serves, want 1", now.Generation)
		}
	}
	d.upgrade(t)
}

// A program with tableflip and without gozd knows nothing of the sockets. Somebody has to serve.
func TestSuccessorWithoutGozd(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "foreign")
	a := d.ask(t, "upgrade")
	checkFailure(t, a, upgrade.StageReady, false, "no program with gozd")
	if a.Took > patience {
		t.Errorf("it took %v to see that it says nothing", a.Took)
	}
	if now := d.ask(t, "who"); now.Generation != 1 {
		t.Errorf("generation %d serves, want 1", now.Generation)
	}
	d.know(t, d.childSays(t), 0)
}

// A generation that has been replaced can stay until its successor has told everybody, or has ended.
func TestSettled(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"tells", "dies"} {
		d := start(t, patience)
		d.behave(t, "slow")
		a := d.ask(t, "upgrade")
		if a.Error != "" {
			t.Fatal(a.Error)
		}
		d.know(t, a.Successor, 0)
		d.ask(t, "who") // it serves
		settled := func() bool { _, err := os.Stat(d.next + ".settled"); return err == nil }
		if settled() {
			t.Errorf("%s: the successor has settled before it has said so", end)
		}
		if end == "dies" {
			_ = d.born[1].Signal(os.Kill)
		} else if err := os.WriteFile(d.next+".tell", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the successor has settled", settled)
	}
}

func TestTwoUpgradesAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "serve")
	answers := make(chan answer, 2)
	for range cap(answers) {
		go func() {
			a, err := d.try("upgrade")
			if err != nil {
				a.Error = err.Error()
			}
			answers <- a
		}()
	}
	for range cap(answers) {
		a := <-answers
		if (a.Error == "") != (a.Successor > 0) {
			t.Errorf("answer %+v", a)
		}
	}
	now := d.ask(t, "who")
	for _, a := range now.Manifest.Ancestors[1:] { // where the second request came to the successor
		d.know(t, a.PID, a.StartTime)
	}
	d.know(t, now.PID, now.StartTime)
	if now.Generation < 2 {
		t.Errorf("generation %d serves", now.Generation)
	}
}

func TestListenerThatNobodyTakesIsClosed(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "forget")
	a := d.ask(t, "upgrade")
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	d.know(t, a.Successor, 0)
	eventually(t, "connections are refused", func() bool {
		c, err := net.Dial("tcp", d.addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// A child whose parent dies before it is ready carries on alone.
func TestParentIsKilledDuringUpgrade(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "orphan")
	cut := make(chan error, 1)
	go func() {
		_, err := d.try("upgrade")
		cut <- err
	}()
	pid := d.childSays(t)
	d.know(t, pid, 0)
	d.kill(t, d.born[0])
	if err := <-cut; err == nil {
		t.Error("a process that was killed has answered")
	}
	now := d.ask(t, "who")
	if now.PID != pid || now.Generation != 2 || !now.ParentExited {
		t.Errorf("generation %d, pid %d serves, parent exited: %v; want 2, pid %d, true", now.Generation, now.PID, now.ParentExited, pid)
	}
	d.upgrade(t)
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

// playToEnd has this binary play a role that ends by itself, and returns what it
// prints.
func playToEnd(t *testing.T, role string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), upgrade.RoleEnv+"="+role, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// The variable has come from a daemon of somebody else's, and descriptors 3 and 4
// are the runtime's or none.
func TestNewWithoutAParent(t *testing.T) {
	out := playToEnd(t, "stray successor")
	if !strings.Contains(out, tableflipEnv+" is set, but descriptors 3 and 4 are no pipes") {
		t.Errorf("New says %q", out)
	}
}

func TestOneUpgraderAProcess(t *testing.T) {
	out := playToEnd(t, "two upgraders")
	want := []string{
		"upgrade failed at " + upgrade.StageStart + ": process is not ready yet",
		"upgrade: tableflip: only a single Upgrader allowed",
		"upgrade: group web: socket 1.1 was not inherited",
	}
	if got := strings.Split(strings.TrimSpace(out), "\n"); !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
}
