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

// stop ends the daemon, and waits until all of its generations have ended, and its supervisor. It asks the control socket, and by a signal only where
// nobody answers there: an upgrade that moves the PID file may have replaced the generation which is asked, so that it is hurried and the daemon serves
// on. A signal does not tell, and who has not answered has not said which other generations there are.
func stop(ctx context.Context, pidfile string) (pid int, err error) {
	r, err := process.ReadRecord(pidfile)
	if err != nil {
		return control.Stop(ctx, pidfile)
	}
	s, err := askToStop(ctx, pidfile)
	switch {
	case errors.Is(err, client.ErrReplaced):
		return 0, err
	case err != nil && s != nil:
		return s.Signal(ctx)
	case err != nil:
		return control.Stop(ctx, pidfile)
	}
	waiting, cancel := context.WithTimeout(ctx, time.Duration(r.State.StopWait))
	defer cancel()
	return s.Answer.PID, s.Await(waiting)
}

// askToStop asks on the control socket. It can return both what is known of the daemon and why that has not answered.
func askToStop(ctx context.Context, pidfile string) (s *client.Stopping, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	err = client.Ask(ctx, pidfile, func(c *client.Client) error {
		s = c.PrepareStop(ctx, answerWait/2)
		return s.Ask(ctx)
	})
	return s, err
}
