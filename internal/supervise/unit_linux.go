package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// unit is the daemon as systemd is told of it.
type unit struct {
	systemd

	generations *generations
	log         *slog.Logger
	ownStatus   string // the program's, behind ours
	stored      []Stored
	extends     extension
}

// extend asks systemd to wait as long as what has begun may take, and a little longer.
func (u *unit) extend(within time.Duration) string {
	return u.extends.line(min(max(within, 0), maxWithin)+time.Second, u.generations.ending(), time.Now())
}

// extendFor is extend for the program, which says itself how long in microseconds.
func (u *unit) extendFor(usec string) string {
	n, err := strconv.ParseUint(usec, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return ""
	}
	within := time.Duration(min(n, uint64(maxWithin.Microseconds()))) * time.Microsecond
	return u.extends.line(within, u.generations.ending(), time.Now())
}

// reloading must have the time: systemd 253 and later tell by it which signal it answers.
func reloading() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // this clock is always there
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}

// report tells systemd what generation g has said. All that it hears is of the generation that serves:
// STOPPING=1 from one that has drained would stop the unit.
func (u *unit) report(g *generation, e Event) {
	if e.Kind == Serving {
		u.ownStatus = "" // of the one before
	}
	status := u.statusLine()
	serves := g.Phase == isServing
	switch {
	case e.Kind == Alive && serves && u.watchdog:
		u.notify(daemon.SdNotifyWatchdog)
	case e.Kind == Alive, e.Kind == Keeping:
	case e.Kind == Serving && e.Settles:
		u.notify(status)
	case e.Kind == Serving, e.Kind == Settled, e.Kind == Failed:
		u.notify(daemon.SdNotifyReady, status) // also after a failure: the reload would never end
	case e.Kind == Upgrading:
		u.notify(reloading(), u.extend(e.Within), status)
	case e.Kind == Stopping && serves:
		u.notify(daemon.SdNotifyStopping, u.extend(e.Within), status)
	case e.Kind == Starting && u.generations.serving() == nil:
		u.notify(u.extend(e.Within), status)
	default:
		u.notify(status)
	}
}

func (u *unit) reportStatus() { u.notify(u.statusLine()) }

// statusLine is that of the generations, and what the program says of itself.
func (u *unit) statusLine() string {
	text := u.generations.status()
	if u.ownStatus != "" {
		text += "; " + u.ownStatus
	}
	return "STATUS=" + shorten(text, maxStatus)
}

// hearProgram passes on what the program in the serving generation says. The others have nothing to
// say to systemd.
func (u *unit) hearProgram(m message) {
	if g := u.generations.serving(); g == nil || g.PID != m.pid {
		return
	}
	var lines []string
	said := false
	for line := range strings.Lines(string(m.data)) {
		line = strings.TrimSuffix(line, "\n")
		if text, ok := strings.CutPrefix(line, "STATUS="); ok {
			u.ownStatus, said = oneLine(text), true
		} else if usec, ok := strings.CutPrefix(line, extendPrefix); ok {
			lines = append(lines, u.extendFor(usec))
		} else if passable(line) {
			lines = append(lines, line)
		}
	}
	if said { // for itself: it is longer than what has come, and a message has an end
		u.reportStatus()
	}
	if len(lines) > 0 {
		u.notify(lines...)
	}
}
