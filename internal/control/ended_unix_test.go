//go:build unix

package control_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// It waits for the one that serves and for the older ones, and takes no stranger with a PID
// for one of them.
func TestAwaitEnd(t *testing.T) {
	d, older := start(t, "end", patience), start(t, "ignore", patience)
	startTime, err := process.StartTime(older.pid)
	if err != nil {
		t.Fatal(err)
	}
	self, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all := []control.Process{{PID: older.pid, StartTime: startTime}, {PID: os.Getpid(), StartTime: self + 1}}
	if _, err := control.Stop(t.Context(), d.pidfile); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := control.AwaitEnd(ctx, d.pidfile, d.pid, all...); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while an older one lives AwaitEnd = %v, want DeadlineExceeded", err)
	}
	older.end()
	if err := control.AwaitEnd(t.Context(), d.pidfile, d.pid, all...); err != nil {
		t.Errorf("when all have ended AwaitEnd = %v", err)
	}
}
