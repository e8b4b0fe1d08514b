//go:build unix

package control_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
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
	if err := control.AwaitEnd(ctx, d.pidfile, control.Process{PID: d.pid}, 1, all...); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while an older one lives AwaitEnd = %v, want DeadlineExceeded", err)
	}
	older.end()
	if err := control.AwaitEnd(t.Context(), d.pidfile, control.Process{PID: d.pid}, 1, all...); err != nil {
		t.Errorf("when all have ended AwaitEnd = %v", err)
	}
}

// A daemon that somebody has started since is not asked to stop; a successor is, and an older generation that serves again.
func TestAwaitEndSparesAnotherDaemon(t *testing.T) {
	const gone = 1 << 22 // no PID
	d := start(t, "end", patience)
	began, err := process.StartTime(d.pid)
	if err != nil {
		t.Fatal(err)
	}
	before, after := control.Process{PID: gone, StartTime: began - 1}, control.Process{PID: gone, StartTime: began + 1}
	if err := control.AwaitEnd(t.Context(), d.pidfile, before, 1); err != nil {
		t.Errorf("AwaitEnd = %v", err)
	}
	if _, err := process.Find(d.pidfile); err != nil {
		t.Fatalf("the daemon that was started since has ended: %v", err)
	}
	if err := control.AwaitEnd(t.Context(), d.pidfile, after, 2); err != nil {
		t.Errorf("AwaitEnd = %v", err)
	}
	if _, err := process.Find(d.pidfile); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("the older generation that serves again: %v, want that it has ended", err)
	}
	successor := start(t, "end", patience) // of generation 0
	began, err = process.StartTime(successor.pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := control.AwaitEnd(t.Context(), successor.pidfile, control.Process{PID: gone, StartTime: began - 1}, 0); err != nil {
		t.Errorf("AwaitEnd = %v", err)
	}
	if _, err := process.Find(successor.pidfile); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("the successor: %v, want that it has ended", err)
	}
}

// Who has ended before the signal came is not confused with a daemon that somebody has started since.
func TestAskSparesAnotherDaemon(t *testing.T) {
	found := func(d *daemon) *process.Running {
		t.Helper()
		r, err := process.Find(d.pidfile)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := start(t, "ignore", patience)
	ended := found(first)
	first.end()
	other := start(t, "ignore", patience)
	next := found(other)
	for next.State.StartTime <= ended.State.StartTime { // they count hundredths of a second
		next.Close()
		other.end()
		other = start(t, "ignore", patience)
		next = found(other)
	}
	looks := []*process.Running{ended, next}
	r, err := control.AskWho(func() (*process.Running, error) {
		r := looks[0]
		looks = looks[1:]
		return r, nil
	}, syscall.SIGUSR1)
	if r != nil || !errors.Is(err, process.ErrNotRunning) || !strings.Contains(err.Error(), "was started since") {
		t.Errorf("AskWho = %v, %v", r, err)
	}
	other.end()
	if said := other.rest(); said != "" {
		t.Errorf("the other daemon got %q", said)
	}
}

// A daemon whose files are gone has not ended as long as the process lives that was asked to stop: its user could remove them and serve on.
func TestAwaitEndLooksAtTheProcess(t *testing.T) {
	d := start(t, "ignore", patience)
	began, err := process.StartTime(d.pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.RemoveFiles(d.pidfile); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	first := control.Process{PID: d.pid, StartTime: began}
	if err := control.AwaitEnd(ctx, d.pidfile, first, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it lives AwaitEnd = %v, want DeadlineExceeded", err)
	}
	d.end()
	if err := control.AwaitEnd(t.Context(), d.pidfile, first, 1); err != nil {
		t.Errorf("when it has ended AwaitEnd = %v", err)
	}
}

// Nor where its user has another process take the lock and the files, whatever number that says it has.
func TestAwaitEndIsNotLedAstray(t *testing.T) {
	asked := start(t, "ignore", patience)
	defer asked.end()
	began, err := process.StartTime(asked.pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, generation := range []int{1, 0} { // that of the other one is 1: it has been started since, or has taken over
		other := start(t, "end", patience)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := control.AwaitEnd(ctx, other.pidfile, control.Process{PID: asked.pid, StartTime: began}, generation); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("generation %d: AwaitEnd = %v, want DeadlineExceeded", generation, err)
		}
		cancel()
	}
}

// The error names who is left, each once, and no more than anybody reads.
func TestLeftError(t *testing.T) {
	d := start(t, "ignore", patience)
	began, err := process.StartTime(d.pid)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the operator goes home")
	cancel(cause)
	older := control.Process{PID: d.pid, StartTime: began, Is: "generation 1"}
	err = control.AwaitGone(ctx, control.Process{PID: d.pid, StartTime: began + 1}, older, older)
	want := fmt.Sprintf("it serves no longer, and these have not ended: generation 1 (pid %d): the operator goes home", d.pid)
	if err == nil || err.Error() != want || !errors.Is(err, cause) {
		t.Errorf("AwaitGone = %v, want %s", err, want)
	}
	many := &control.LeftError{Processes: slices.Repeat([]control.Process{{PID: 7}}, 10), Err: cause}
	if text := many.Error(); strings.Count(text, "pid 7") != 8 || !strings.Contains(text, ", 2 more: ") {
		t.Errorf("of ten it says %s", text)
	}
}
