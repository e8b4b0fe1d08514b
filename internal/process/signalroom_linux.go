package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// spareSignals is how many threads may begin between the look at them and the change.
const spareSignals = 32

// signalRoom makes sure that every thread of this process can be sent a signal, and returns what undoes that. To the kernel a
// change of the user is one thread's: the C library, and Go without it, tell the others by a signal of a kind that is queued. Where
// the user has as many in the queue as RLIMIT_SIGPENDING lets him, the C library leaves the thread what it is and says nothing,
// and Go waits for ever. The user of the queue is the new one in the end, so the limit is lifted altogether where that is allowed:
// what he has in it does not count then.
func signalRoom() (restore func(), err error) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_SIGPENDING, &was); err != nil {
		return nil, fmt.Errorf("limit of queued signals: %w", err)
	}
	restore = func() { _ = unix.Setrlimit(unix.RLIMIT_SIGPENDING, &was) } // to lower a limit is always allowed
	if unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) == nil {
		return restore, nil
	}
	if err := unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: was.Max, Max: was.Max}); err != nil {
		return nil, fmt.Errorf("limit of queued signals: %w", err)
	}
	if err := haveSignalRoom(was.Max); err != nil {
		restore()
		return nil, err
	}
	return restore, nil
}

// haveSignalRoom returns an error where the queue may be too short for a signal to each thread. Without /proc there are none
// in it, as far as can be seen.
func haveSignalRoom(limit uint64) error {
	status, _ := os.ReadFile("/proc/self/status")
	queued, threads := uint64(0), uint64(0)
	for line := range strings.Lines(string(status)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "SigQ":
			n, _, _ := strings.Cut(strings.TrimSpace(value), "/")
			queued, _ = strconv.ParseUint(n, 10, 64)
		case "Threads":
			threads, _ = strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	if need := queued + threads + spareSignals; limit < need {
		return fmt.Errorf("the limit of queued signals (ulimit -i, LimitSIGPENDING=) is %d, and this process's threads could not all be told: "+
			"raise it to %d at least, or let root lift it (CAP_SYS_RESOURCE)", limit, need)
	}
	return nil
}
