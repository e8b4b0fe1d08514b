package upgrade_test

import (
	"slices"
	"strings"
	"testing"
)

// descriptors counts what the serving generation has open.
func (d *daemon) descriptors(t *testing.T) int {
	t.Helper()
	return len(d.ask(t, "descriptors").Out)
}

func TestFailedUpgradesLeaveNoDescriptors(t *testing.T) {
	t.Parallel()
	const upgrades = 20
	d := start(t, patience)
	failures := []string{"leave", "crash", "exit", "refuse", "clean"}
	fail := func(next string) {
		d.behave(t, next)
		if a := d.ask(t, "upgrade"); a.Error == "" {
			t.Fatalf("an upgrade to %q succeeded", next)
		}
	}
	fail("exit") // what is opened once and for all
	before := d.descriptors(t)
	for i := range upgrades {
		fail(failures[i%len(failures)])
	}
	eventually(t, "no descriptor is left", func() bool { return d.descriptors(t) <= before })
	d.upgrade(t)
}

func TestGenerationsDoNotAddDescriptors(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.upgrade(t)
	before := d.descriptors(t)
	for range 4 {
		d.upgrade(t)
	}
	eventually(t, "no descriptor is added", func() bool { return d.descriptors(t) <= before })
}

// What the program starts must not take itself for a successor, and must hold
// neither sockets nor locks.
func TestChildrenInheritNothing(t *testing.T) {
	t.Parallel()
	strays := inherited(new(answer).run("ls", "-l", "/proc/self/fd")) // who started the tests may be careless
	d := start(t, patience)
	for generation := 1; generation <= 3; generation++ {
		if generation > 1 && d.upgrade(t).Marked {
			t.Errorf("generation %d still has %s", generation, tableflipEnv)
		}
		for _, when := range []string{"early child's", "child's"} {
			a := d.ask(t, when+" descriptors")
			for _, fd := range inherited(&a) {
				if !slices.Contains(strays, fd) {
					t.Errorf("generation %d: %s descriptor %s is inherited", generation, when, fd)
				}
			}
		}
		for _, line := range d.ask(t, "child's environment").Out {
			if strings.HasPrefix(line, tableflipEnv) {
				t.Errorf("generation %d: a child inherits %s", generation, line)
			}
		}
	}
}

// inherited returns what ls -l /proc/self/fd has printed: "5 -> socket:[1]", but
// not the standard streams and the directory that ls itself reads.
func inherited(a *answer) []string {
	var fds []string
	for _, line := range a.Out[1:] { // after "total 0"
		fields := strings.Fields(line)
		fd := fields[len(fields)-3:]
		if !slices.Contains([]string{"0", "1", "2"}, fd[0]) && !strings.HasPrefix(fd[2], "/proc/") {
			fds = append(fds, strings.Join(fd, " "))
		}
	}
	return fds
}
