package process

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// takePending has the handlers of all signals begin that wait for this process. The kernel has chosen a thread for
// each, which may be waiting for a processor; but a thread whose mask changes looks itself
// (recalc_sigpending in kernel/signal.c), and runs the handlers before it returns.
func takePending(caught syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	const bits = 8 * int(unsafe.Sizeof(set.Val[0]))
	n := int(caught) - 1
	set.Val[n/bits] |= 1 << (n % bits)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old) == nil {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) // the same call has just worked
	}
	awaitHandlers(caught)
}

// awaitHandlers waits until no thread is about to run a handler for which it has taken a signal already. All
// signals are blocked in such a thread (setsig in runtime/os_linux.go). The program may have threads of its own that block
// signals, so it waits no longer than a handler can take that has to wait for a processor.
func awaitHandlers(caught syscall.Signal) {
	const wait = 100 * time.Millisecond
	for deadline := time.Now().Add(wait); isHandling(caught) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Microsecond)
	}
}

// isHandling reports whether a thread of this process blocks a signal that is caught.
func isHandling(caught syscall.Signal) bool {
	threads, _ := filepath.Glob("/proc/self/task/*/status")
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := bytes.Cut(text, []byte("\nSigBlk:\t"))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		blocked, err := strconv.ParseUint(string(line), 16, 64)
		if err == nil && blocked>>(caught-1)&1 != 0 {
			return true
		}
	}
	return false
}
