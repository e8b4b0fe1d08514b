package supervise

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// passedOn are the signals that are passed on to the generation that serves.
var passedOn = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1}

// take takes note of a signal that this process has got.
func (s *supervisor) take(sig syscall.Signal) {
	if sig == unix.SIGHUP && s.apart && !HasTerminal() { // it has been closed, and the generations cannot see that
		sig = unix.SIGTERM
	}
	switch sig {
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT:
		s.asked = sig
	}
	if g := s.generations.serving(); g != nil && sig == unix.SIGUSR1 && s.generations.upgrading {
		_ = s.send(g, sig) // and to its successor, which may have the old file too, and to this one again if that fails
	}
	s.keep(sig)
}

// keep has a signal passed on by passPending. Two of the same kind that wait are one, as in the kernel.
func (s *supervisor) keep(sig syscall.Signal) {
	if !slices.Contains(s.pendingSignals, sig) {
		s.pendingSignals = append(s.pendingSignals, sig)
	}
}

// askAgain keeps the signal by which the daemon was asked to end for a generation that serves since then: the one before it may
// have been replaced when it got the signal.
func (s *supervisor) askAgain() {
	if s.asked != 0 {
		s.keep(s.asked)
	}
}

// passPending passes on what can be: nothing as long as nobody handles signals, and no request for an
// upgrade while one is in progress, since the generation that is being replaced would be too late to take it.
func (s *supervisor) passPending() {
	g := s.generations.target()
	if g == nil {
		s.endStandby()
		return
	}
	var rest []syscall.Signal
	for _, sig := range s.pendingSignals {
		if s.generations.upgrading && (sig == unix.SIGHUP || sig == unix.SIGUSR1) {
			rest = append(rest, sig)
			continue
		}
		if !s.send(g, sig) {
			rest = append(rest, sig)
			s.again = time.After(sendAgain)
		}
	}
	s.pendingSignals = rest
}

// endStandby has the daemon end where nobody serves, and a generation stands by, or takes up its service again, which may last: it
// handles signals, and gives that up. There is nobody who would ask the older ones, so they are asked too.
func (s *supervisor) endStandby() {
	if s.asked == 0 || !slices.Contains(s.pendingSignals, s.asked) || s.generations.newest(isStandby) == nil {
		return
	}
	for _, g := range s.generations.all {
		if !s.send(g, s.asked) {
			s.again = time.After(sendAgain)
			return // those that have been asked already take it for the same request
		}
	}
	s.pendingSignals = nil
	if !s.generations.stopping {
		s.generations.stopping = true
		s.status = nil // that of the successor, which was not the last
		s.systemd.tell(daemon.SdNotifyStopping, s.statusLine())
	}
}

// sendAgain is after how long a signal is tried again that could not be passed on.
const sendAgain = 100 * time.Millisecond

// send reports false where the signal is to be kept: it could not be found out whose process g is, as without a descriptor.
func (s *supervisor) send(g *generation, sig syscall.Signal) (settled bool) {
	w := s.watched[g.PID]
	if w == nil {
		return true // it has ended, and that will be heard
	}
	err := g.maySignal()
	if err == nil {
		err = w.signal(sig)
	}
	switch {
	case err == nil, errors.Is(err, unix.ESRCH), errors.Is(err, os.ErrNotExist):
		s.log.Info("signal passed on", "signal", sig.String(), "generation", g.Number, "pid", g.PID)
		return true
	case errors.Is(err, errOtherUser):
		s.log.Warn("signal not passed on", "signal", sig.String(), "pid", g.PID, "error", err)
		return true
	}
	if s.mayComplain() {
		s.log.Warn("a signal cannot be passed on yet", "signal", sig.String(), "pid", g.PID, "error", err)
	}
	return false
}

// sigaction is more than what any architecture's kernel reads; its first word is the handler.
type sigaction [64]byte

// dieOf ends this process by a signal, or returns if it cannot: PID 1 does not die of its own signals.
func dieOf(sig syscall.Signal) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // the generation may have left a core, which is worth more
	var byDefault sigaction                              // SIG_DFL is 0
	// signal.Reset leaves the runtime's handler there, which makes a crash of some signals.
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&byDefault)), 0, kernelSet(), 0, 0)
	_ = unix.Kill(os.Getpid(), sig)
}

// kernelSet is the size of a signal set in bytes, as the kernel has it.
func kernelSet() uintptr {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 16 // it has 128 signals
	}
	return 8
}
