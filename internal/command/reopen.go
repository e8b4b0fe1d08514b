package command

import (
	"context"
	"errors"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
)

// reopenWait is how long the generation that serves may take to reopen the log.
const reopenWait = 5 * time.Second

// reopen makes every generation open the log again. It asks the control socket, which says whether that went well, and by a signal only
// where the daemon cannot be asked there: a signal does not tell.
func reopen(ctx context.Context, pidfile string) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, reopenWait)
	defer cancel()
	err = client.Ask(ctx, pidfile, func(c *client.Client) error {
		answer, err := c.Reopen(ctx)
		if err == nil {
			pid = answer.PID
		}
		return err
	})
	switch {
	case errors.Is(err, client.ErrNoSocket): // also where that was looked for until the end of ctx
		return control.Reopen(pidfile)
	case err == nil, errors.As(err, new(*client.AnswerError)), ctx.Err() != nil: // it has answered, or may still do it
		return pid, err
	}
	return control.Reopen(pidfile)
}
