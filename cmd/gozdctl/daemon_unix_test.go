//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// fakeDaemon has this process be the daemon of a PID file. When it is asked for
// an upgrade it writes the state that upgraded returns.
func fakeDaemon(t *testing.T, upgraded func(s process.State) process.State) (pidfile string) {
	t.Helper()
	pidfile = filepath.Join(t.TempDir(), "app.pid")
	l, err := process.Acquire(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Leave)
	s := stateOf(t, os.Getpid(), 1)
	if err := process.WriteState(pidfile, &s); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var done sync.WaitGroup
	done.Go(func() {
		for range signals {
			next := upgraded(s)
			if err := process.WriteState(pidfile, &next); err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(func() {
		signal.Stop(signals)
		close(signals)
		done.Wait()
	})
	return pidfile
}

func stateOf(t *testing.T, pid, generation int) process.State {
	t.Helper()
	start, err := process.StartTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	return process.State{
		PID: pid, StartTime: start, Generation: generation, Since: time.Now(), Binary: "/opt/app",
		UpgradeWait: process.Duration(20 * time.Second),
	}
}

func TestStatusOfADaemon(t *testing.T) {
	pidfile := fakeDaemon(t, nil)
	status, stdout, stderr := ctl(t, "status", pidfile)
	if status != statusOK || stderr != "" {
		t.Errorf("status %d, %q", status, stderr)
	}
	if want := fmt.Sprintf("pid            %d\ngeneration     1\nserving for    ", os.Getpid()); !strings.HasPrefix(stdout, want) {
		t.Errorf("it prints\n%swant\n%s", stdout, want)
	}
}

func TestUpgradeOfADaemon(t *testing.T) {
	successor := exec.CommandContext(t.Context(), "sleep", "60")
	if err := successor.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = successor.Wait() }) // the context has killed it
	next := stateOf(t, successor.Process.Pid, 2)
	pidfile := fakeDaemon(t, func(process.State) process.State { return next })
	status, stdout, stderr := ctl(t, "upgrade", pidfile)
	if status != statusOK || stderr != "" {
		t.Errorf("status %d, %q", status, stderr)
	}
	want := fmt.Sprintf(`^upgraded: pid %d \(generation 2\) replaces pid %d \(generation 1\), ready after [0-9.]+m?s\n$`, next.PID, os.Getpid())
	if !regexp.MustCompile(want).MatchString(stdout) {
		t.Errorf("it prints %q, want %s", stdout, want)
	}
}

func TestUpgradeOfADaemonFails(t *testing.T) {
	pidfile := fakeDaemon(t, func(s process.State) process.State {
		s.Failures++
		s.LastFailure = "upgrade failed at start: exec format error"
		return s
	})
	status, stdout, stderr := ctl(t, "upgrade", pidfile)
	want := fmt.Sprintf("gozdctl: upgrade: upgrade failed at start: exec format error; pid %d serves on\n", os.Getpid())
	if status != statusFailed || stdout != "" || stderr != want {
		t.Errorf("status %d, %q, %q, want %d and %q", status, stdout, stderr, statusFailed, want)
	}
}
