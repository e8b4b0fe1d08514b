package supervise

import (
	"runtime"
	"sync"
)

// spareThreads is more than what the supervisor is ever at work with at the same time.
const spareThreads = 16

// reserveThreads has the Go runtime make threads, which it keeps and uses again. The service's user can use up the tasks of a cgroup
// (pids.max, TasksMax=), which the supervisor shares, and the runtime ends a process that can have no thread.
func reserveThreads() {
	var together, done sync.WaitGroup
	together.Add(spareThreads)
	for range spareThreads {
		done.Go(func() {
			runtime.LockOSThread() // so that each waits in a thread of its own
			defer runtime.UnlockOSThread()
			together.Done()
			together.Wait()
		})
	}
	done.Wait()
}
