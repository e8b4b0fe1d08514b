package supervise

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// Work that keeps threads, as what waits in the kernel does, needs no new one: perhaps there is none to be had.
func TestThreadsAreReserved(t *testing.T) {
	reserveThreads()
	awaitParked(t)
	before := threads(t)
	if before < spareThreads {
		t.Fatalf("there are %d threads, want %d at least", before, spareThreads)
	}
	const busy = spareThreads * 3 / 4
	var waiting, done sync.WaitGroup
	release := make(chan struct{})
	waiting.Add(busy)
	for range busy {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			waiting.Done()
			_ = unix.Getpid()
			<-release
		})
	}
	waiting.Wait()
	if now := threads(t); now > before {
		t.Errorf("there are %d threads, and %d before", now, before)
	}
	close(release)
	done.Wait()
}

// awaitParked waits until the runtime has put away the threads that it does not need: on a busy machine one is on its way there for some time, and
// cannot be used again.
func awaitParked(t *testing.T) {
	t.Helper()
	require.Eventually(t, "all threads but this one sleep", func() bool {
		running := 0
		paths, _ := filepath.Glob("/proc/self/task/*/stat") // the pattern is well-formed
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), ") R ") {
				running++
			}
		}
		return running <= 1
	})
}

func threads(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
