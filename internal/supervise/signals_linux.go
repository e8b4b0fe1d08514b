package supervise

import (
	"errors"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that are passed on to the generation that serves.
var passedOn = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1}

// passing is what passes signals on. It has to wait with some: nobody may handle signals, or the one that does is being replaced.
type passing struct {
	generations *generations
	processes   *processes
	log         *slog.Logger
	complaints  *complaints

	pending []syscall.Signal // that could not be passed on yet
	again   <-chan time.Time // when they are tried again; nil for not before something happens
	asked   syscall.Signal   // by which the daemon was asked to end; 0 for none
}

// take takes note of a signal that this process has got.
func (p *passing) take(sig syscall.Signal) {
	switch sig {
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT:
		p.asked, p.generations.asked = sig, true
	}
	if g := p.generations.serving(); g != nil && sig == unix.SIGUSR1 && p.generations.upgrading {
		_ = p.send(g, sig) // and to its successor, which may have the old file too, and to this one again if that fails
	}
	p.keep(sig)
}

// keep has a signal passed on when that is possible. Two of the same kind that wait are one, as in the kernel.
func (p *passing) keep(sig syscall.Signal) {
	if !slices.Contains(p.pending, sig) {
		p.pending = append(p.pending, sig)
	}
}

// askAgain keeps the signal by which the daemon was asked to end for a generation that serves since then: the one before it may
// have been replaced when it got the signal.
func (p *passing) askAgain() {
	if p.asked != 0 {
		p.keep(p.asked)
	}
}

// passTo passes on to g, which handles signals, what can be: no request for an
// upgrade while one is in progress, since the generation that is being replaced would be too late to take it.
func (p *passing) passTo(g *generation) {
	var rest []syscall.Signal
	for _, sig := range p.pending {
		if p.generations.upgrading && (sig == unix.SIGHUP || sig == unix.SIGUSR1) {
			rest = append(rest, sig)
			continue
		}
		if !p.send(g, sig) {
			rest = append(rest, sig)
			p.again = time.After(sendAgain)
		}
	}
	p.pending = rest
}

// endStandby has the daemon end where nobody serves, and a generation stands by, or takes up its service again, which may last: it
// handles signals, and gives that up. There is nobody who would ask the older ones, so they are asked too. It reports whether they have been.
func (p *passing) endStandby() bool {
	if p.asked == 0 || !slices.Contains(p.pending, p.asked) || p.generations.newest(isStandby) == nil {
		return false
	}
	for _, g := range p.generations.all {
		if !p.send(g, p.asked) {
			p.again = time.After(sendAgain)
			return false // those that have been asked already take it for the same request
		}
	}
	p.pending = nil
	return true
}

// sendAgain is after how long a signal is tried again that could not be passed on.
const sendAgain = 100 * time.Millisecond

// send reports false where the signal is to be kept: it could not be found out whose process g is, as without a descriptor.
func (p *passing) send(g *generation, sig syscall.Signal) (settled bool) {
	w := p.processes.held[g.PID]
	if w == nil {
		return true // it has ended, and that will be heard
	}
	err := g.maySignal()
	if err == nil {
		err = w.signal(sig)
	}
	switch {
	case err == nil, errors.Is(err, unix.ESRCH), errors.Is(err, os.ErrNotExist) && w.hasEnded():
		p.log.Debug("signal passed on", "signal", sig.String(), "generation", g.Number, "pid", g.PID)
		return true
	case errors.Is(err, errOtherUser):
		p.log.Warn("signal not passed on", "signal", sig.String(), "pid", g.PID, "error", err)
		return true
	}
	if p.complaints.may() {
		p.log.Warn("a signal cannot be passed on yet", "signal", sig.String(), "pid", g.PID, "error", err)
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
