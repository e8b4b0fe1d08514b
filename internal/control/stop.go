package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Stop asks the daemon to stop, and waits until it has ended: at most for ctx, or
// for as long as the daemon's configuration allows a stop to take. It returns the
// PID of the generation that served.
func Stop(ctx context.Context, pidfile string) (pid int, err error) {
	r, err := process.Find(pidfile)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.State.StopWait))
	defer cancel()
	if err := r.Signal(sigStop); err != nil {
		return r.PID, err
	}
	return r.PID, waitEnd(ctx, pidfile)
}

// waitEnd waits until no generation serves.
func waitEnd(ctx context.Context, pidfile string) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		r, err := process.Find(pidfile)
		if errors.Is(err, process.ErrNotRunning) {
			return nil
		}
		if err == nil {
			r.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it has not ended yet: %w", ctx.Err())
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
