//go:build unix

package upgrade_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

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
		{"panic", upgrade.StageStart, false, "panic: boom ("},
		{"fatal", upgrade.StageStart, false, inUse},
		{"fail", upgrade.StageStart, true, inUse},
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

func TestSuccessorHangs(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second // in which the next one must come up, also on a busy machine
	for next, hasPID := range map[string]bool{"hang": true, "sleep": false} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			d := start(t, timeout)
			d.behave(t, next)
			a := d.ask(t, "upgrade")
			gone(t, d.childSays(t))
			checkFailure(t, a, upgrade.StageReady, hasPID, "not ready after 4s: ")
			if a.Took < timeout {
				t.Errorf("it had %v, want %v", a.Took, timeout)
			}
			d.upgrade(t)
		})
	}
}

// A successor may take over in the instant in which it is killed. It has failed then, and somebody serves.
func TestSuccessorTakesOverWhileItIsKilled(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	runs := 8
	if testing.Short() {
		runs = 2
	}
	for i := range runs {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			d := start(t, timeout)
			after := timeout + upgrade.WordsWait - time.Duration(5*i)*time.Millisecond
			d.behave(t, "late "+after.String())
			a := d.ask(t, "upgrade")
			if a.Error == "" {
				now := d.ask(t, "who")
				d.know(t, now.PID, now.StartTime)
				if now.PID != a.Successor {
					t.Errorf("pid %d serves, and the upgrade to pid %d has succeeded", now.PID, a.Successor)
				}
				return
			}
			checkFailure(t, a, upgrade.StageReady, true, "not ready after 1s: ")
			if now := d.ask(t, "who"); now.Generation != 1 {
				t.Errorf("generation %d serves, and the upgrade to it has failed", now.Generation)
			}
		})
	}
}

func TestUpgradeThatCannotStart(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	checkFailure(t, d.ask(t, "upgrade without a payload"), upgrade.StageStart, false, "no payload")
	checkFailure(t, d.ask(t, "upgrade without a binary"), upgrade.StageStart, false, "no such file or directory")
	d.upgrade(t)
	checkFailure(t, d.ask(t, "upgrade with too many groups"), upgrade.StageStart, false, "the bootstrap channel holds 65536")
}

// A binary is busy as long as a process has it open for writing, be it one that the program has only just forked.
func TestUpgradeToABusyBinary(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "serve")
	a := d.ask(t, "upgrade to a busy binary")
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	now := d.ask(t, "who")
	d.know(t, now.PID, now.StartTime)
	if now.Generation != 2 || now.PID != a.Successor {
		t.Errorf("generation %d, pid %d serves, want 2, pid %d", now.Generation, now.PID, a.Successor)
	}
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
