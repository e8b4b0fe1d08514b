//go:build unix

package control_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestUpgradeSucceeds(t *testing.T) {
	for _, script := range []string{"succeed", "succeed and end"} {
		t.Run(script, func(t *testing.T) {
			d := start(t, script, patience)
			up, err := control.Upgrade(t.Context(), d.pidfile)
			if err != nil {
				t.Fatal(err)
			}
			if up.Old.PID != d.pid || up.Old.Generation != 1 || up.New.PID != os.Getpid() || up.New.Generation != 2 {
				t.Errorf("Upgrade = %+v to %+v, want pid %d to %d", up.Old, up.New, d.pid, os.Getpid())
			}
			if up.Took <= 0 || up.Took > patience {
				t.Errorf("it took %v", up.Took)
			}
			d.expect(t, "hangup")
		})
	}
}

func TestUpgradeFails(t *testing.T) {
	d := start(t, "fail", patience)
	up, err := control.Upgrade(t.Context(), d.pidfile)
	var failed *control.FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("Upgrade = %+v, %v, want a FailedError", up, err)
	}
	want := control.FailedError{PID: d.pid, Generation: 1, Reason: "upgrade failed at listen: address in use"}
	if *failed != want {
		t.Errorf("Upgrade: %+v, want %+v", *failed, want)
	}
	if text := err.Error(); !strings.HasPrefix(text, want.Reason+"; pid ") || !strings.HasSuffix(text, " serves on") {
		t.Errorf("the error says %q", text)
	}
}

func TestUpgradeOfADaemonThatEnds(t *testing.T) {
	for _, script := range []string{"die", "end"} {
		t.Run(script, func(t *testing.T) {
			d := start(t, script, patience)
			up, err := control.Upgrade(t.Context(), d.pidfile)
			if !errors.Is(err, process.ErrNotRunning) || !strings.Contains(err.Error(), "ended during the upgrade") {
				t.Errorf("Upgrade = %+v, %v, want ErrNotRunning", up, err)
			}
		})
	}
}

func TestUpgradeThatEndsAtOnce(t *testing.T) {
	d := start(t, "succeed and lose the successor", patience)
	up, err := control.Upgrade(t.Context(), d.pidfile)
	if !errors.Is(err, os.ErrProcessDone) || !strings.Contains(err.Error(), "the new generation has ended at once") {
		t.Errorf("Upgrade = %+v, %v, want os.ErrProcessDone", up, err)
	}
}

func TestUpgradeWithUnknownOutcome(t *testing.T) {
	const wait = 100 * time.Millisecond
	tests := []struct {
		name, script string
		own, callers time.Duration
	}{
		{"the daemon's own time is over", "ignore", wait, patience},
		{"the caller's time is over", "ignore", patience, wait},
		{"the state is written, but nothing new", "touch", wait, patience},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := start(t, test.script, test.own)
			ctx, cancel := context.WithTimeout(t.Context(), test.callers)
			defer cancel()
			begin := time.Now()
			up, err := control.Upgrade(ctx, d.pidfile)
			if !errors.Is(err, control.ErrUnknownOutcome) {
				t.Errorf("Upgrade = %+v, %v, want ErrUnknownOutcome", up, err)
			}
			if took := time.Since(begin); took < wait {
				t.Errorf("it gave up after %v, want %v", took, wait)
			}
			d.expect(t, "hangup")
		})
	}
}

func TestStop(t *testing.T) {
	for _, script := range []string{"end", "die"} {
		t.Run(script, func(t *testing.T) {
			d := start(t, script, patience)
			pid, err := control.Stop(t.Context(), d.pidfile)
			if err != nil || pid != d.pid {
				t.Errorf("Stop = %d, %v, want %d", pid, err, d.pid)
			}
			d.expect(t, "terminated")
		})
	}
}

func TestStopOfADaemonThatStays(t *testing.T) {
	d := start(t, "ignore", 100*time.Millisecond)
	pid, err := control.Stop(t.Context(), d.pidfile)
	if pid != d.pid || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Stop = %d, %v, want %d and context.DeadlineExceeded", pid, err, d.pid)
	}
	d.expect(t, "terminated")
}

func TestQuitAndReopen(t *testing.T) {
	d := start(t, "ignore", patience)
	for want, send := range map[string]func(string) (int, error){
		"quit":                  control.Quit,
		"user defined signal 1": control.Reopen,
	} {
		if pid, err := send(d.pidfile); err != nil || pid != d.pid {
			t.Errorf("%s = %d, %v, want %d", want, pid, err, d.pid)
		}
		d.expect(t, want)
	}
	d.end()
	if rest := d.rest(); rest != "" {
		t.Errorf("it got more signals: %q", rest)
	}
}

// actions are all functions of the package, reduced to their errors.
var actions = map[string]func(pidfile string) error{
	"Upgrade": func(pidfile string) error { _, err := control.Upgrade(context.Background(), pidfile); return err },
	"Stop":    func(pidfile string) error { _, err := control.Stop(context.Background(), pidfile); return err },
	"Quit":    func(pidfile string) error { _, err := control.Quit(pidfile); return err },
	"Rollback": func(pidfile string) error {
		_, err := control.Rollback(context.Background(), pidfile)
		return err
	},
	"Reopen": func(pidfile string) error { _, err := control.Reopen(pidfile); return err },
}

func TestNotRunning(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	for name, do := range actions {
		if err := do(pidfile); !errors.Is(err, process.ErrNotRunning) || !strings.Contains(err.Error(), pidfile) {
			t.Errorf("%s: %v, want ErrNotRunning and the path", name, err)
		}
	}
}

func TestStale(t *testing.T) {
	d := start(t, "ignore", patience)
	d.end() // by SIGKILL, so all files are left
	for name, do := range actions {
		if err := do(d.pidfile); !errors.Is(err, process.ErrNotRunning) || !strings.Contains(err.Error(), "stale") {
			t.Errorf("%s: %v, want ErrNotRunning, stale", name, err)
		}
	}
}

// The lock is held, so the daemon runs; but nobody may be signalled.
func TestStarting(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	l, err := process.Acquire(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Leave()
	if err := process.WritePID(pidfile, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup // each waits for a while that there is somebody
	for name, do := range actions {
		all.Go(func() {
			if err := do(pidfile); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, process.ErrNotRunning) {
				t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
			}
		})
	}
	all.Wait()
}

// Somebody looks while the last generation removes its files: they are gone, and the lock is held.
func TestEnding(t *testing.T) {
	for name, do := range actions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pidfile := filepath.Join(t.TempDir(), "app.pid")
			l, err := process.Acquire(pidfile)
			if err != nil {
				t.Fatal(err)
			}
			result := make(chan error, 1)
			go func() { result <- do(pidfile) }()
			time.Sleep(50 * time.Millisecond) // it has looked, most likely
			l.Leave()
			if err := <-result; !errors.Is(err, process.ErrNotRunning) {
				t.Errorf("%v, want ErrNotRunning", err)
			}
		})
	}
}

// The generation on probation has ended by itself when it is to be rolled back, and the one that has started it has not
// said so yet.
func TestRollbackOfWhatHasFailed(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	l, err := process.Acquire(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Leave()
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := process.State{
		PID: os.Getpid(), StartTime: start, Generation: 1, StopWait: process.Duration(patience),
		Trial: &process.Trial{PID: os.Getpid(), StartTime: start - 1},
	}
	write := func(s process.State) {
		if err := process.WriteState(pidfile, &s); err != nil {
			t.Error(err)
		}
	}
	write(s)
	type answer struct {
		state *process.State
		err   error
	}
	result := make(chan answer, 1)
	go func() {
		now, err := control.Rollback(t.Context(), pidfile)
		result <- answer{now, err}
	}()
	time.Sleep(50 * time.Millisecond) // it has found it gone, most likely
	s.Trial, s.Failures = nil, 1
	write(s)
	// Where it has looked late, there was nothing to roll back.
	if a := <-result; a.err == nil && a.state.Failures != 1 || a.err != nil && !errors.Is(a.err, control.ErrNoProbation) {
		t.Errorf("Rollback = %+v, %v", a.state, a.err)
	}
}
