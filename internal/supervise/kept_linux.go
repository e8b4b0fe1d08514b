package supervise

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

// take keeps a signal that this process has got.
func (s *state) take(sig syscall.Signal) {
	switch sig {
	case early.Stop:
		sig = unix.SIGTERM
		s.Asked = int(sig)
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT:
		s.Asked = int(sig)
	}
	s.keep(sig)
}

// keep has a signal passed on by passKept. Two of the same kind that wait are one, as in the kernel.
func (s *state) keep(sig syscall.Signal) {
	if !slices.Contains(s.Kept, int(sig)) {
		s.Kept = append(s.Kept, int(sig))
	}
}

// holdSignals has signals wait in the kernel from now on, and takes those that have come until then. release
// ends only the first.
func (s *state) holdSignals(caught chan os.Signal) (release func()) {
	maskAll(unix.SIG_BLOCK)
	signal.Stop(caught) // now all that was caught is in the channel, and nothing follows
	for len(caught) > 0 {
		s.take((<-caught).(syscall.Signal))
	}
	return func() { maskAll(unix.SIG_UNBLOCK) }
}

// takePending takes the signals that have come since they are held.
func (s *state) takePending() {
	for sig := nextPending(); sig != 0; sig = nextPending() {
		s.take(sig)
	}
}
