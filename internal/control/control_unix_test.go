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
	"Stop":   func(pidfile string) error { _, err := control.Stop(context.Background(), pidfile); return err },
	"Quit":   func(pidfile string) error { _, err := control.Quit(pidfile); return err },
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
