package command

import (
	"context"
	"errors"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// answerWait is how long a generation may take to answer that it ends, before a signal asks it.
const answerWait = 2 * time.Second

// stop ends the daemon, and waits for that. It asks the control socket, and by a signal only where nobody answers there: an upgrade that moves the
// PID file may have replaced the generation which is asked, so that it is hurried and the daemon serves on. A signal does not tell.
func stop(ctx context.Context, pidfile string) (pid int, err error) {
	r, err := process.ReadRecord(pidfile)
	if err != nil {
		return control.Stop(ctx, pidfile)
	}
	asking, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	c, err := client.Dial(asking, pidfile)
	if err != nil || c.PID() != r.State.PID {
		return control.Stop(ctx, pidfile)
	}
	a, err := c.Stop(asking)
	switch {
	case errors.Is(err, client.ErrReplaced):
		return 0, err
	case err != nil:
		return control.Stop(ctx, pidfile)
	}
	waiting, cancel := context.WithTimeout(ctx, time.Duration(r.State.StopWait))
	defer cancel()
	return a.PID, control.AwaitEnd(waiting, pidfile, control.Process{PID: a.PID, StartTime: r.State.StartTime}, a.Generation)
}
