package supervise

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that the supervisor passes on. WINCH is ignored by default.
var passedOn = []os.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1}

// While one image of the supervisor runs the next in its place there is a moment, about a millisecond, without
// handlers: they do not survive that, and a Go program unblocks most signals before it can have any
// (minitSignalMask in runtime/signal_unix.go, before initsig). In it
//   - TERM, INT and QUIT end the supervisor, and the generations stop, as they do whenever it is gone;
//   - HUP, which would end it too, is ignored, and so a request for an upgrade may be lost. systemd makes none
//     then: it is told that the last one is over when the next image handles signals;
//   - USR1 waits, since it can be blocked.
//
// PID 1 does not die of signals, and so might lose a stop: it stays at its binary.

// early handles signals from the start of an image on, before the program's own code.
var early = catchEarly()

func catchEarly() chan os.Signal {
	signals := make(chan os.Signal, 64)
	if IsSupervisor() {
		signal.Notify(signals, passedOn...)
	}
	return signals
}

// sigaction is more than what any architecture's kernel reads; its first word is the handler.
type sigaction [64]byte

// The handlers that are none.
var (
	byDefault sigaction
	ignored   = func() (a sigaction) { binary.NativeEndian.PutUint64(a[:], 1); return a }() // SIG_IGN; on 32 bits the upper half is flags, and 0
)

// setAction changes what a signal does, behind the runtime's back, and returns what it did.
func setAction(sig syscall.Signal, to *sigaction) (before sigaction) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	return before
}

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
	setAction(sig, &byDefault)
	_ = unix.Kill(os.Getpid(), sig)
}
