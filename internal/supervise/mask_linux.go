package supervise

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

// When the supervisor runs a new binary in its place, signals are blocked in the old image, and those that wait are
// taken along. They stay blocked through execve, and the kernel keeps them; what cannot be had is that they stay so until the new
// image handles them. Go's runtime unblocks HUP, INT, QUIT and TERM in its first thread (minitSignalMask and blockableSig in
// runtime/signal_unix.go, Go 1.25 and 1.26) before it has handlers, and these kill as well until signal.Notify is called. So for one or
// two milliseconds
//   - TERM, INT and QUIT end the supervisor, and the generations stop, as they do whenever it is gone;
//   - HUP, which would end it too, is ignored, and so a request for an upgrade may be lost. systemd makes none
//     then: it is told that the last one is over when the next image handles signals;
//   - USR1 and [early.Stop] wait, since the runtime leaves them blocked.
//
// PID 1 does not die of signals that it does not handle, and so would lose a stop: it stays at its binary.
// docs/adr/0011 has what else was looked at.

// sigaction is more than what any architecture's kernel reads; its first word is the handler.
type sigaction [64]byte

// The handlers that are none.
var (
	byDefault sigaction
	ignored   = func() (a sigaction) { binary.NativeEndian.PutUint64(a[:], 1); return a }() // SIG_IGN; on 32 bits the upper half is flags, and 0
)

// setAction changes what a signal does, behind the runtime's back, and returns what it did.
func setAction(sig syscall.Signal, to *sigaction) (before sigaction) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(&before)), kernelSet, 0, 0)
	return before
}

// mask changes the signal mask of this thread, to which the goroutine is locked until
// undo is called.
func mask(how int) (undo func(), err error) {
	var old unix.Sigset_t
	set := passedOnSet()
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

// maskAll changes the signal masks of all threads. A program with cgo has threads that Go does not know: then the signals are
// blocked in exec's only, and one that comes in the moment before that is lost.
func maskAll(how int) {
	set := passedOnSet()
	_, _, _ = syscall.AllThreadsSyscall6(unix.SYS_RT_SIGPROCMASK, uintptr(how), uintptr(unsafe.Pointer(&set)), 0, kernelSet, 0, 0)
}

// nextPending returns a signal that is blocked and has come, and takes it from the kernel; 0 if there is none.
func nextPending() syscall.Signal {
	set, now := passedOnSet(), unix.Timespec{}
	n, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0, uintptr(unsafe.Pointer(&now)), kernelSet, 0, 0)
	if errno != 0 {
		return 0
	}
	return syscall.Signal(n)
}

// kernelSet is the size of a signal set in bytes, as the kernel has it.
var kernelSet uintptr = 8

func init() {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		kernelSet = 16 // it has 128 signals
	}
}

func passedOnSet() (set unix.Sigset_t) {
	for _, sig := range early.PassedOn {
		add(&set, sig.(syscall.Signal))
	}
	return set
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
