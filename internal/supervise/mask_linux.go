package supervise

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that the supervisor passes on. WINCH is ignored by default.
var passedOn = []os.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1}

// No signal may be lost, or kill, while one image of the supervisor runs the next in its
// place: no handler survives that. What is blocked waits. The mask of a thread goes on to the next image, whose
// runtime starts all threads with that of the first (initSigmask in runtime/proc.go), and unblocks a signal
// in a thread of its own from Notify until Stop (ensureSigM in runtime/signal_unix.go). So in
// every image but the first all signals are blocked when none is asked for, and nothing is lost.

// mask changes the signal mask of this thread, to which the goroutine is locked until
// undo is called.
func mask(how int) (undo func(), err error) {
	var set, old unix.Sigset_t
	for _, sig := range passedOn {
		add(&set, sig.(syscall.Signal))
	}
	runtime.LockOSThread()
	if err := unix.PthreadSigmask(how, &set, &old); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("supervise: signal mask: %w", err)
	}
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) // the same call has just worked
		runtime.UnlockOSThread()
	}, nil
}

func add(set *unix.Sigset_t, sig syscall.Signal) {
	const bits = 8 * int(unsafe.Sizeof(set.Val[0]))
	n := int(sig) - 1
	set.Val[n/bits] |= 1 << (n % bits)
}

// dieOf ends this process by a signal, or returns if it cannot: PID 1 does not die of its own signals.
func dieOf(sig syscall.Signal) {
	undo, err := mask(unix.SIG_UNBLOCK)
	if err != nil {
		return
	}
	defer undo()
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // the generation may have left a core, which is worth more
	// signal.Reset leaves the runtime's handler there, which makes a crash of some signals.
	var byDefault [64]byte // struct sigaction: SIG_DFL is 0
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	_ = unix.Kill(os.Getpid(), sig)
}
