package early

import (
	"os"
	"os/signal"
	"syscall"
)

// StateEnv is the variable that makes a process the supervisor.
const StateEnv = "GOZD_SUPERVISOR"

// Stop is SIGRTMIN+3, as C libraries count, which is a stop. It is what to send where the sender can choose: other than TERM, Go's runtime
// leaves it blocked where it was, so that it waits for a supervisor that just runs a new binary in its place.
const Stop = syscall.Signal(37)

// PassedOn are the signals that the supervisor handles; TERM comes first because each takes its time. WINCH is
// ignored by default.
var PassedOn = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, Stop}

// Signals has those that the supervisor gets. In a process that systemd has started, and that may become the supervisor, it
// has Stop, which a Go program would else ignore.
var Signals = catch()

func catch() chan os.Signal {
	signals := make(chan os.Signal, 64)
	switch {
	case os.Getenv(StateEnv) != "":
		signal.Notify(signals, PassedOn...)
	case isPath(os.Getenv("NOTIFY_SOCKET")): // systemd's; a generation, which has no time for this, has its supervisor's
		signal.Notify(signals, Stop)
	}
	return signals
}

func isPath(s string) bool { return s != "" && s[0] == '/' }
