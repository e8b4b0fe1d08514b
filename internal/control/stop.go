package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// pollInterval is how often it is looked whether a process has ended.
const pollInterval = 10 * time.Millisecond

// Stop asks the daemon to stop, and waits until it has ended, and older, the others of its processes that are known: at most for ctx, or
// for as long as the daemon's configuration allows a stop to take. It returns the
// PID of the generation that served. The error is a *[LeftError] where only processes are left that do not serve.
func Stop(ctx context.Context, pidfile string, older ...Process) (pid int, err error) {
	r, err := ask(ctx, pidfile, sigStop)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.State.StopWait))
	defer cancel()
	first := Process{r.PID, r.State.StartTime, fmt.Sprintf("generation %d", r.State.Generation)}
	return r.PID, AwaitEnd(ctx, pidfile, first, r.State.Generation, older...)
}

// asked is the generation that was asked to stop.
type asked struct {
	pid        int
	startTime  uint64 // 0 where it is not known
	generation int    // the same
}

// isOf reports whether a generation that serves is of the same daemon: a successor, or an older one that serves again. One that was started
// after the one that was asked, and has no higher number, belongs to a daemon that somebody has started since.
func (a asked) isOf(s *process.State) bool {
	return a.startTime == 0 || s.StartTime <= a.startTime || s.Generation > a.generation
}

// waitEnd waits until no generation of the daemon serves. If the one that was asked has been replaced just
// before, it has only been hurried, and the one that serves is asked too.
func waitEnd(ctx context.Context, pidfile string, last asked) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		r, err := process.Find(pidfile)
		if errors.Is(err, process.ErrNotRunning) {
			return nil
		}
		if err == nil {
			if r.PID != last.pid {
				if !last.isOf(r.State) {
					r.Close()
					return nil
				}
				last = asked{r.PID, r.State.StartTime, r.State.Generation}
				_ = r.Signal(sigStop) // if it is gone, the next look says so
			}
			r.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it has been asked to stop, and still runs: %w", ctx.Err())
		}
	}
}

// Quit asks the daemon to end when its connections have, and does not wait: that
// may take as long as drain_timeout. It returns the PID of the generation that
// serves.
func Quit(pidfile string) (pid int, err error) { return signal(pidfile, sigQuit) }

// Reopen asks every generation of the daemon to reopen its log file. It does not
// wait. It returns the PID of the generation that serves.
func Reopen(pidfile string) (pid int, err error) { return signal(pidfile, sigReopen) }
