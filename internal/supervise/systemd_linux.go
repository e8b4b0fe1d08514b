package supervise

import (
	"fmt"
	"net"
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
var childless = []string{stateEnv, channelEnv, notifyEnv, watchdogPIDEnv, storeEnv}

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

// extend has systemd wait as long as what has begun may take, and a little longer.
func extend(within time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (within + time.Second).Microseconds())
}

// reloading must have the time: systemd 253 and later tell by it which signal it answers.
func reloading() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // this clock is always there
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}

// report has systemd know what generation g has said. All that it hears is of the generation that serves:
// STOPPING=1 from one that has drained would stop the unit.
func (s *supervisor) report(g *generation, e Event) {
	if e.Kind == Serving {
		s.ownStatus = "" // of the one before
	}
	status := s.status()
	serves := g.Phase == isServing
	switch {
	case e.Kind == Alive && serves && s.systemd.watchdog:
		s.systemd.tell(daemon.SdNotifyWatchdog)
	case e.Kind == Alive, e.Kind == Keeping:
	case e.Kind == Serving && s.renew: // when the next image has begun; see runNext
	case e.Kind == Serving, e.Kind == Failed:
		s.systemd.tell(daemon.SdNotifyReady, s.status()) // also after a failure: the reload would never end
	case e.Kind == Upgrading && serves:
		s.systemd.tell(reloading(), extend(e.Within), status)
	case e.Kind == Stopping && serves:
		s.systemd.tell(daemon.SdNotifyStopping, extend(e.Within), status)
	case e.Kind == Starting && s.Line.serving() == nil:
		s.systemd.tell(extend(e.Within), status)
	default:
		s.systemd.tell(status)
	}
}

func (s *supervisor) reportStatus() { s.systemd.tell(s.status()) }

// status is that of the line, and what the program says of itself.
func (s *supervisor) status() string {
	text := s.Line.status()
	if s.ownStatus != "" {
		text += "; " + s.ownStatus
	}
	return "STATUS=" + strings.ReplaceAll(text, "\n", "; ")
}

// listenNotify opens a socket for what the program itself says to systemd.
func listenNotify() (fd int, name string, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, "", fmt.Errorf("supervise: %s: %w", notifyEnv, os.NewSyscallError("socket", err))
	}
	name, err = bindNotify(fd)
	if err != nil {
		_ = unix.Close(fd)
		return 0, "", fmt.Errorf("supervise: %s: %w", notifyEnv, err)
	}
	return fd, name, nil
}

// bindNotify has the kernel choose a name, which needs no directory, and nobody else has it.
func bindNotify(fd int) (name string, err error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return "", os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil {
		return "", os.NewSyscallError("bind", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	bound, ok := sa.(*unix.SockaddrUnix)
	if !ok {
		return "", &net.AddrError{Err: "no Unix socket", Addr: fmt.Sprint(sa)}
	}
	return bound.Name, nil
}

// hearProgram passes on what the program in the serving generation says. The others have nothing to
// say to systemd, and nobody else has, although everybody can send to this socket.
func (s *supervisor) hearProgram() {
	if s.notify == nil {
		return
	}
	for {
		m, err := s.notify.next()
		if err != nil {
			return
		}
		m.close()
		if g := s.Line.serving(); g != nil && g.PID == m.pid {
			s.passMessage(string(m.data))
		}
	}
}

// passMessage leaves out what is the supervisor's to say, and what names processes and descriptors.
func (s *supervisor) passMessage(text string) {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, "=")
		switch {
		case name == "STATUS":
			s.ownStatus = value
			lines = append(lines, s.status())
		case line == "WATCHDOG=trigger", name == "ERRNO", name == "BUSERROR", name == "EXTEND_TIMEOUT_USEC", strings.HasPrefix(name, "X_"):
			lines = append(lines, line)
		}
	}
	if len(lines) > 0 {
		s.systemd.tell(lines...)
	}
}
