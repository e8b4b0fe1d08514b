package watched

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// slowBinary installs a program that waits for a file before it becomes what it is, and returns how it goes on.
func slowBinary(t *testing.T, d *daemon.Daemon) (goOn func()) {
	t.Helper()
	script, real := filepath.Join(t.TempDir(), "slow"), filepath.Join(t.TempDir(), "watched")
	must(t, daemon.Install(binaries.Watched(t), real))
	text := "#!/bin/bash\nuntil [ -e go-on ]; do sleep 0.05; done\nexec -a " + d.Binary + " " + real + " \"$@\"\n"
	must(t, os.WriteFile(script, []byte(text), 0o755))
	must(t, daemon.Install(script, d.Binary))
	return func() { must(t, os.WriteFile(filepath.Join(d.Dir, "go-on"), nil, 0o644)) }
}

// childOf waits for the child of a process.
func childOf(t *testing.T, pid int) (child int) {
	t.Helper()
	await(t, "a child", func() bool {
		children := daemon.Children(pid)
		if len(children) != 1 {
			return false
		}
		child = children[0]
		name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(child), "comm"))
		return strings.Contains(string(name), "watched")
	})
	return child
}

// A generation that is killed when it has just started its successor takes nothing with it: that one carries on alone.
func TestSuccessorOfAKilledGeneration(t *testing.T) {
	d, cmd := supervised(t)
	goOn := slowBinary(t, d)
	old := servingPID(t, d)
	must(t, cmd.Process.Signal(syscall.SIGHUP))
	child := childOf(t, old)
	must(t, syscall.Kill(old, syscall.SIGKILL))
	await(t, "collected", func() bool { return state(old) == "" })
	goOn()
	await(t, "carried on", func() bool { return generation(d) == 2 })
	if pid := servingPID(t, d); pid != child {
		t.Errorf("process %d serves, want %d", pid, child)
	}
	newBinary(t, d)
	upgrade(t, d, 1)
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if ws := ended(t, cmd); !ws.Exited() || ws.ExitStatus() != 0 {
		t.Errorf("the supervisor has ended with %v, want status 0", ws)
	}
}

// So it is where another one stands by, which must not be what the supervisor waits for.
func TestSuccessorOfAKilledGenerationBeforeAStandby(t *testing.T) {
	d, cmd := supervised(t)
	done := keepBusy(t, d)
	upgrade(t, d, 1)
	goOn := slowBinary(t, d)
	old := servingPID(t, d)
	must(t, cmd.Process.Signal(syscall.SIGHUP))
	childOf(t, old)
	must(t, syscall.Kill(old, syscall.SIGKILL))
	await(t, "collected", func() bool { daemon.ReapProcess(old); s := state(old); return s == "" || s == "Z" })
	goOn()
	await(t, "carried on", func() bool { return generation(d) == 3 })
	done()
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if ws := ended(t, cmd); !ws.Exited() || ws.ExitStatus() != 0 {
		t.Errorf("the supervisor has ended with %v, want status 0", ws)
	}
}

// Where the successor dies too, the daemon has ended, and whoever is to start it again learns that at once.
func TestKilledGenerationWithoutSuccessor(t *testing.T) {
	d, cmd := supervised(t)
	slowBinary(t, d)
	old := servingPID(t, d)
	must(t, cmd.Process.Signal(syscall.SIGHUP))
	child := childOf(t, old)
	must(t, syscall.Kill(old, syscall.SIGKILL))
	must(t, syscall.Kill(child, syscall.SIGKILL))
	if ws := ended(t, cmd); ws.Signal() != syscall.SIGKILL {
		t.Errorf("the supervisor has ended with %v, want the signal that has ended its generation", ws)
	}
}

// A program that clears its environment before it calls gozd is no other daemon by that: each process knows what it is.
func TestClearedEnvironment(t *testing.T) {
	forgetful := func(t *testing.T) *daemon.Daemon {
		t.Helper()
		d := newDaemon(t, "watched", "supervise yes")
		must(t, os.WriteFile(filepath.Join(d.Dir, "forget"), nil, 0o644))
		return d
	}
	t.Run("foreground", func(t *testing.T) {
		d := forgetful(t)
		cmd := supervise(t, d)
		upgrade(t, d, 2)
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if ws := ended(t, cmd); !ws.Exited() || ws.ExitStatus() != 0 {
			t.Errorf("the supervisor has ended with %v, want status 0", ws)
		}
	})
	t.Run("detached", func(t *testing.T) {
		d := forgetful(t)
		must(t, d.Start(t.Context()))
		t.Cleanup(func() { must(t, d.Stop(context.WithoutCancel(t.Context()))) })
		upgrade(t, d, 1)
		if n := generation(d); n != 2 {
			t.Errorf("generation %d serves", n)
		}
	})
}
