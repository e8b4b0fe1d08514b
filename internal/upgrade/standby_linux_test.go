package upgrade_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fateOf waits until the generation that serves has seen what became of a successor.
func (d *daemon) fateOf(t *testing.T, generation int) string {
	t.Helper()
	var a answer
	eventually(t, fmt.Sprintf("generation %d serves again", generation), func() bool {
		var err error
		a, err = d.try("who")
		return err == nil && a.Generation == generation && a.Outcome != "<nil>"
	})
	return a.Outcome
}

// killNewest kills the newest generation, whose parent collects it.
func (d *daemon) killNewest(t *testing.T) (pid int) {
	t.Helper()
	p := d.born[len(d.born)-1]
	d.born = d.born[:len(d.born)-1]
	if err := p.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	p.Close()
	return p.PID
}

func TestParentStandsBy(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	for round := 1; round <= 3; round++ {
		two := d.upgradeFrom(t, 1, 1+round)
		pid := d.killNewest(t)
		want := fmt.Sprintf("upgrade failed at %s: pid %d: it died after it had taken over: signal: killed", upgrade.StageServing, pid)
		if fate := d.fateOf(t, 1); fate != want || pid != two.PID {
			t.Errorf("round %d: the parent hears %q, want %q", round, fate, want)
		}
	}
	d.behave(t, "leave")
	checkFailure(t, d.ask(t, "upgrade"), upgrade.StageStart, true, "exited: exit status 4")
	d.upgradeFrom(t, 1, 5) // a failure takes no number
}

// upgradeFrom is upgrade where the numbers of the generations do not follow each other.
func (d *daemon) upgradeFrom(t *testing.T, from, to int) answer {
	t.Helper()
	d.behave(t, "serve")
	a := d.ask(t, "upgrade")
	if a.Error != "" || a.Generation != from || a.Next != to || !a.StandsBy {
		t.Fatalf("the upgrade: %+v, want one from %d to %d", a, from, to)
	}
	now := d.ask(t, "who")
	if now.PID != a.Successor || now.Generation != to {
		t.Fatalf("pid %d, generation %d serves, want %d, %d", now.PID, now.Generation, a.Successor, to)
	}
	d.know(t, now.PID, now.StartTime)
	return now
}

func TestParentStandsByBehindACrash(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.upgradeFrom(t, 1, 2)
	d.born = d.born[:1]
	if a, err := d.try("panic"); err == nil {
		t.Fatalf("a process that panics answers %+v", a)
	}
	if fate := d.fateOf(t, 1); !strings.HasSuffix(fate, ": it died after it had taken over: exit status 2") {
		t.Errorf("the parent hears %q", fate)
	}
	d.upgradeFrom(t, 1, 3)
}

// Nobody comes back that has been replaced twice, and whoever is killed then is no successor any more.
func TestOnlyTheDirectPredecessorStandsBy(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.upgrade(t)
	d.upgrade(t)
	d.killNewest(t)
	d.fateOf(t, 2)
	d.upgradeFrom(t, 2, 4)
	d.kill(t, d.born[0])
	if now := d.ask(t, "who"); now.Generation != 4 {
		t.Errorf("generation %d serves, want 4", now.Generation)
	}
	d.killNewest(t)
	d.fateOf(t, 2)
}

// A generation that is killed while its own successor starts leaves that one to carry on: the one before it must not serve beside it.
func TestHeirGoesFirst(t *testing.T) {
	t.Parallel()
	for _, heir := range []string{"lives", "dies"} {
		t.Run(heir, func(t *testing.T) {
			t.Parallel()
			d := start(t, patience)
			two := d.upgrade(t)
			d.behave(t, "heir "+heir)
			go func() { _, _ = d.try("upgrade") }() // it is cut
			pid := d.childSays(t)
			if heir == "lives" {
				d.know(t, pid, 0)
			}
			if killed := d.killThe(t, two.PID); killed != two.PID {
				t.Fatalf("pid %d killed, want %d", killed, two.PID)
			}
			now := d.ask(t, "who")
			if want := map[string]int{"lives": 3, "dies": 1}[heir]; now.Generation != want {
				t.Errorf("generation %d serves, want %d", now.Generation, want)
			}
			if heir == "dies" {
				d.upgradeFrom(t, 1, 3)
				return
			}
			d.upgrade(t)
			d.killNewest(t)
			d.fateOf(t, 3)
		})
	}
}

// One that stands still has the time of an upgrade, and is killed then, as the generation that is dead would have done.
func TestHeirThatStandsStill(t *testing.T) {
	t.Parallel()
	d := start(t, 5*time.Second)
	two := d.upgrade(t)
	d.behave(t, "heir lives")
	go func() { _, _ = d.try("upgrade") }() // it is cut
	pid := d.childSays(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	d.killThe(t, two.PID)
	if now := d.ask(t, "who"); now.Generation != 1 {
		t.Errorf("generation %d serves, want 1", now.Generation)
	}
	d.upgradeFrom(t, 1, 3)
}

// killThe kills the generation with a PID.
func (d *daemon) killThe(t *testing.T, pid int) int {
	t.Helper()
	for i, p := range d.born {
		if p.PID == pid {
			d.born = append(d.born[:i:i], d.born[i+1:]...)
			if err := p.Signal(os.Kill); err != nil {
				t.Fatal(err)
			}
			p.Close()
			return pid
		}
	}
	return 0
}

// A daemon that ends must leave no socket open that nobody accepts from.
func TestRelieved(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	two := d.upgrade(t)
	_, _ = d.try("end") // it answers by ending
	gone(t, two.PID)
	c, err := net.DialTimeout("tcp", d.addr, patience)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after the end: %v, %v, want %v", c, err, syscall.ECONNREFUSED)
	}
}

// The time limit is gozd's own, and a successor that has taken over in time is not killed after it.
func TestTimeoutDoesNotEndASuccessorThatServes(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	d := start(t, timeout)
	two := d.upgrade(t)
	time.Sleep(timeout + upgrade.WordsWait + time.Second) // the thing itself is that nothing happens
	if now := d.ask(t, "who"); now.PID != two.PID {
		t.Errorf("pid %d serves, want %d", now.PID, two.PID)
	}
}

// A process without the option is replaced for good, and so is one of another system.
func TestWithoutStandBy(t *testing.T) {
	t.Setenv(aloneEnv, "yes")
	d := start(t, patience)
	d.behave(t, "serve")
	a := d.ask(t, "upgrade")
	if a.Error != "" || a.StandsBy {
		t.Fatalf("the upgrade: %+v", a)
	}
	now := d.ask(t, "who")
	d.know(t, now.PID, now.StartTime)
	d.killNewest(t)
	gone(t, now.PID)
	eventually(t, "connections are refused", func() bool { // an Accept may still have to notice
		c, err := net.DialTimeout("tcp", d.addr, patience)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}
