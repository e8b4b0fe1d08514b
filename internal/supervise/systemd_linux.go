package supervise

import (
	"fmt"
	"math"
	"os"
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

// tell sends lines of the form NAME=value as one message. There is nobody to be told of an error but systemd.
func (s *systemd) tell(lines ...string) {
	if s.watches {
		_, _ = daemon.SdNotify(false, strings.Join(lines, "\n"))
	}
}

// extend asks systemd to wait as long as what has begun may take, and a little longer. A generation may name any time.
func extend(within time.Duration) string {
	longest := time.Duration(math.MaxInt64) - time.Second
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (min(max(within, 0), longest) + time.Second).Microseconds())
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
	case e.Kind == Serving, e.Kind == Failed:
		s.systemd.tell(daemon.SdNotifyReady, status) // also after a failure: the reload would never end
	case e.Kind == Upgrading:
		s.systemd.tell(reloading(), extend(e.Within), status)
	case e.Kind == Stopping && serves:
		s.systemd.tell(daemon.SdNotifyStopping, extend(e.Within), status)
	case e.Kind == Starting && s.generations.serving() == nil:
		s.systemd.tell(extend(e.Within), status)
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
