//go:build unix

package process_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func init() { roles["heir"] = inheritLock }

// inheritLock is a successor: it holds the lock until its standard input ends.
func inheritLock() {
	l := process.InheritLock(os.NewFile(3, "lock"))
	_, _ = io.WriteString(os.Stdout, "inherited\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = l.File().Sync() // nothing else keeps it from being collected
}

func running(t *testing.T, pidfile string) bool {
	t.Helper()
	r, err := process.Find(pidfile)
	if err == nil {
		r.Close()
	}
	return !errors.Is(err, process.ErrNotRunning)
}

func TestLockIsExclusive(t *testing.T) {
	path := pidfileIn(t)
	l := acquire(t, path)
	serve(t, path)
	second, err := process.Acquire(path)
	var taken *process.RunningError
	if !errors.As(err, &taken) || taken.PID != os.Getpid() {
		t.Fatalf("second Acquire = %v, %v, want a RunningError with pid %d", second, err, os.Getpid())
	}
	l.Leave()
	acquire(t, path)
}

func TestLockGoesFromProcessToProcess(t *testing.T) {
	path := pidfileIn(t)
	l := acquire(t, path)
	cmd := role(t, "heir", path)
	cmd.ExtraFiles = []*os.File{l.File()}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "inherited\n" {
		t.Fatalf("the heir says %q, %v", line, err)
	}
	l.Leave()
	if !running(t, path) {
		t.Error("the lock is free, though the heir has it")
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if running(t, path) {
		t.Error("the lock is held, though all have left it")
	}
	acquire(t, path)
}

// The loser is told who has won, as soon as the winner has said so itself.
func TestAcquireRace(t *testing.T) {
	const rivals, rounds = 4, 25
	path := pidfileIn(t)
	for range rounds {
		var wg sync.WaitGroup
		var won atomic.Int32
		winner := make(chan *process.Lock, rivals)
		for range rivals {
			wg.Go(func() {
				l, err := process.Acquire(path)
				var taken *process.RunningError
				switch {
				case err == nil:
					won.Add(1)
					serve(t, path)
					winner <- l
				case !errors.As(err, &taken) || taken.PID != os.Getpid():
					t.Errorf("Acquire = %v, want a RunningError with pid %d", err, os.Getpid())
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("%d of %d have the lock", n, rivals)
		}
		if err := process.RemoveFiles(path); err != nil {
			t.Error(err)
		}
		(<-winner).Leave()
	}
}

// A daemon that ends removes the lock file. Who has opened it before, and locks it
// after, has locked a file that nobody else will find.
func TestAcquireWhileTheLastOwnerRemovesTheFile(t *testing.T) {
	const daemons, lives = 4, 25
	path := pidfileIn(t)
	var alive atomic.Int32
	var wg sync.WaitGroup
	for range daemons {
		wg.Go(func() {
			for range lives {
				liveOnce(t, path, &alive)
			}
		})
	}
	wg.Wait()
	if got := names(t, path); got != nil {
		t.Errorf("the daemons left %v", got)
	}
}

// liveOnce is a daemon that starts when it can and ends at once.
func liveOnce(t *testing.T, path string, alive *atomic.Int32) {
	t.Helper()
	l, err := process.Acquire(path)
	for err != nil {
		var taken *process.RunningError
		if !errors.As(err, &taken) {
			t.Errorf("Acquire = %v, want a RunningError", err)
			return
		}
		l, err = process.Acquire(path)
	}
	if n := alive.Add(1); n != 1 {
		t.Errorf("%d daemons have the lock", n)
	}
	if !running(t, path) {
		t.Error("a daemon has a lock that nobody else sees")
	}
	alive.Add(-1) // without its files it is no daemon, and the next one may start
	if err := process.RemoveFiles(path); err != nil {
		t.Error(err)
	}
	l.Leave()
}

func TestAcquireNeedsTheDirectory(t *testing.T) {
	_, err := process.Acquire(pidfileIn(t) + "/missing/app.pid")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Acquire = %v, want os.ErrNotExist", err)
	}
}

// Somebody holds the lock and never says who he is: a daemon that is starting,
// or one that has lost its state file.
func TestAcquireOfAnUnknownOwner(t *testing.T) {
	path := pidfileIn(t)
	acquire(t, path)
	_, err := process.Acquire(path)
	var taken *process.RunningError
	if !errors.As(err, &taken) || taken.PID != 0 || err.Error() != "already running (PID file "+path+")" {
		t.Errorf("Acquire = %v, want a RunningError without a PID", err)
	}
}

func TestRunningErrorNamesThePID(t *testing.T) {
	if got := (&process.RunningError{PIDFile: "x.pid", PID: 7}).Error(); got != "already running, pid 7 (PID file x.pid)" {
		t.Errorf("Error = %q", got)
	}
}

// TestTryLock has the file be of another user's, who could hold it for ever. Locks of this user's are waited for.
func TestTryLock(t *testing.T) {
	path := pidfileIn(t) + ".x.only"
	l, err := process.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := process.TryLock(path); !errors.Is(err, process.ErrLocked) {
		t.Errorf("second TryLock = %v, %v, want ErrLocked", second, err)
	}
	t.Run("of another user", func(t *testing.T) {
		require.Root(t)
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		second, err := process.TryLock(path)
		if err == nil || errors.Is(err, process.ErrLocked) || !strings.Contains(err.Error(), "has put it there, and holds it") {
			t.Errorf("TryLock of another user's file = %v, %v", second, err)
		}
	})
	if err := l.Remove(path); err != nil {
		t.Error(err)
	}
	l, err = process.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v, want one of mode 0600", info, err)
	}
	l.Leave()
}

// The state file and the lock file of a daemon that runs are nobody's PID file.
func TestAcquireOfAnothersFiles(t *testing.T) {
	path := pidfileIn(t)
	l := acquire(t, path)
	for _, file := range []string{process.StatePath(path), process.LockPath(path)} {
		if other, err := process.Acquire(file); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Acquire(%s) = %v, %v, want an error that names %s", file, other, err, path)
		}
	}
	l.Leave()
	other, err := process.Acquire(process.StatePath(path))
	if err != nil {
		t.Fatalf("a name like that of another file, of which there is no daemon: %v", err)
	}
	other.Leave()
}
