package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
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
	watches  bool // it wants to know
	watchdog bool // it wants to know time and again
}

func newSystemd() systemd {
	interval, err := daemon.SdWatchdogEnabled(false)
	s := systemd{watches: os.Getenv(notifyEnv) != "", watchdog: err == nil && interval > 0}
	if !s.watchdog {
		_ = os.Unsetenv(watchdogEnv) // another process's, whose PID goes with it
	}
	return s
}

// tell sends lines of the form NAME=value as one message, without those that are empty. There is nobody to be told of an error but systemd.
func (s *systemd) tell(lines ...string) {
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	if s.watches && len(lines) > 0 {
		_, _ = daemon.SdNotify(false, strings.Join(lines, "\n"))
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

// extend asks systemd to wait as long as what has begun may take, and a little longer.
func (s *supervisor) extend(within time.Duration) string {
	return s.extends.line(min(max(within, 0), maxWithin)+time.Second, s.ending(), time.Now())
}

// extendFor is extend for the program, which says itself how long in microseconds.
func (s *supervisor) extendFor(usec string) string {
	n, err := strconv.ParseUint(usec, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return ""
	}
	within := time.Duration(min(n, uint64(maxWithin.Microseconds()))) * time.Microsecond
	return s.extends.line(within, s.ending(), time.Now())
}

// reloading must have the time: systemd 253 and later tell by it which signal it answers.
func reloading() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // this clock is always there
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}

// report tells systemd what generation g has said. All that it hears is of the generation that serves:
// STOPPING=1 from one that has drained would stop the unit.
func (s *supervisor) report(g *generation, e Event) {
	if e.Kind == Serving {
		s.ownStatus = "" // of the one before
	}
	status := s.statusLine()
	serves := g.Phase == isServing
	switch {
	case e.Kind == Alive && serves && s.systemd.watchdog:
		s.systemd.tell(daemon.SdNotifyWatchdog)
	case e.Kind == Alive, e.Kind == Keeping:
	case e.Kind == Serving && e.Settles:
		s.systemd.tell(status)
	case e.Kind == Serving, e.Kind == Settled, e.Kind == Failed:
		s.systemd.tell(daemon.SdNotifyReady, status) // also after a failure: the reload would never end
	case e.Kind == Upgrading:
		s.systemd.tell(reloading(), s.extend(e.Within), status)
	case e.Kind == Stopping && serves:
		s.systemd.tell(daemon.SdNotifyStopping, s.extend(e.Within), status)
	case e.Kind == Starting && s.generations.serving() == nil:
		s.systemd.tell(s.extend(e.Within), status)
	default:
		s.systemd.tell(status)
	}
}

func (s *supervisor) reportStatus() { s.systemd.tell(s.statusLine()) }

// statusLine is that of the generations, and what the program says of itself.
func (s *supervisor) statusLine() string {
	text := s.generations.status()
	if s.ownStatus != "" {
		text += "; " + s.ownStatus
	}
	return "STATUS=" + shorten(text, maxStatus)
}
