package supervise

import (
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Work that keeps threads, as what waits in the kernel does, needs no new one: perhaps there is none to be had.
func TestThreadsAreReserved(t *testing.T) {
	reserveThreads()
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

func threads(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
