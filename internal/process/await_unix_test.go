//go:build unix

package process_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// awaiting returns what Await does, which has begun.
func awaiting(t *testing.T, path string) <-chan error {
	t.Helper()
	if _, err := process.Find(path); err == nil || errors.Is(err, process.ErrNotRunning) {
		t.Fatalf("Find = %v, want that nobody knows yet", err)
	}
	result := make(chan error, 1)
	go func() {
		r, err := process.Await(t.Context(), path)
		if err == nil {
			r.Close()
		}
		result <- err
	}()
	return result
}

// The last generation removes its files one by one, and leaves the lock when they are gone.
func TestAwaitTheEnd(t *testing.T) {
	path := pidfileIn(t)
	l := acquire(t, path)
	serve(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(process.StatePath(path)); err != nil {
		t.Fatal(err)
	}
	result := awaiting(t, path)
	time.Sleep(30 * time.Millisecond) // it has looked, most likely
	if err := process.RemoveFiles(path); err != nil {
		t.Fatal(err)
	}
	l.Leave()
	if err := <-result; !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Await = %v, want ErrNotRunning", err)
	}
}

// The first generation has the lock before it can say that it serves.
func TestAwaitTheStart(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	result := awaiting(t, path)
	time.Sleep(30 * time.Millisecond)
	serve(t, path)
	if err := <-result; err != nil {
		t.Errorf("Await = %v", err)
	}
}

// The one that the state file names has been replaced, and is gone; the next has not written it yet.
func TestAwaitTheSuccessor(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	s := serve(t, path)
	before := *s
	before.StartTime--
	write(t, path, &before)
	result := awaiting(t, path)
	time.Sleep(30 * time.Millisecond)
	write(t, path, s)
	if err := <-result; err != nil {
		t.Errorf("Await = %v", err)
	}
}

// Who has less patience is told what there is to be seen.
func TestAwaitEndsWithItsContext(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if r, err := process.Await(ctx, path); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Await = %+v, %v, want fs.ErrNotExist", r, err)
	}
}

// What does not pass by itself is said at once: in a context that is never done this would take long.
func TestAwaitDoesNotWaitInVain(t *testing.T) {
	path := pidfileIn(t)
	if _, err := process.Await(t.Context(), path); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Await = %v, want ErrNotRunning", err)
	}
	acquire(t, path)
	writeFile(t, process.StatePath(path), "{")
	begin := time.Now()
	if _, err := process.Await(t.Context(), path); err == nil || errors.Is(err, fs.ErrNotExist) || time.Since(begin) > 4*time.Second {
		t.Errorf("Await = %v after %v, want what is wrong with the file", err, time.Since(begin))
	}
}
