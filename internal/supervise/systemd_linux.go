package supervise

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// systemd's variables.
const (
	notifyEnv      = "NOTIFY_SOCKET"
	watchdogPIDEnv = "WATCHDOG_PID"
)

// childless are the variables that are not for the generations: marks of the supervisor's own,
// and what names its PID, which systemd's clients would compare with theirs. They get a NOTIFY_SOCKET of their own.
var childless = []string{channelEnv, notifyEnv, watchdogPIDEnv, storeEnv}

// maxNotify is what systemd itself reads of a message (NOTIFY_BUFFER_MAX).
const maxNotify = 4096

// systemd is the manager that watches this process. The zero value says nothing to nobody.
type systemd struct {
	outbox   *outbox // nil without systemd
	watches  bool    // it wants to know
	watchdog bool    // it wants to know time and again
}

func newSystemd(log *slog.Logger) systemd {
	interval, err := daemon.SdWatchdogEnabled(false)
	s := systemd{watches: os.Getenv(notifyEnv) != "", watchdog: err == nil && interval > 0}
	if !s.watchdog {
		_ = os.Unsetenv(watchdogEnv) // another process's, whose PID goes with it
	}
	if s.watches {
		s.outbox = newOutbox(log)
	}
	return s
}

// notify sends lines of the form NAME=value as one message, without those that are empty. There is nobody to be told of an error but systemd.
func (s *systemd) notify(lines ...string) {
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	if len(lines) > 0 {
		s.outbox.send(outgoing{text: strings.Join(lines, "\n")})
	}
}

// maxWithin bounds what is waited for since a generation or the program has said so: either may name any time.
const maxWithin = 24 * time.Hour

// extendPrefix begins the line by which systemd waits longer for what goes on.
const extendPrefix = "EXTEND_TIMEOUT_USEC="

// extension asks systemd to wait. Each request may be one of many, but all of them together do not hold up the end of the
// daemon for longer than maxWithin.
type extension struct {
	latest time.Time // beyond which the end of the daemon is not put off; zero before the first request in it
}

// line asks for a time from now on; it is empty where there is none left.
func (x *extension) line(within time.Duration, ending bool, now time.Time) string {
	within = min(max(within, 0), maxWithin)
	if ending {
		if x.latest.IsZero() {
			x.latest = now.Add(maxWithin)
		}
		if within = min(within, x.latest.Sub(now)); within <= 0 {
			return ""
		}
	}
	return fmt.Sprintf("%s%d", extendPrefix, within.Microseconds())
}
