package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func rollbackCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback " + aboutTarget,
		Short: "undo the upgrade that is on probation",
		Long: `Ends the new generation that is on probation, and waits until the previous one serves alone again.
Clients' connections go back to it. Once the probation is over there is nothing to roll back:
install the previous binary and upgrade.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.rollback(cmd.Context(), pidfile)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait at most, as in 30s or 2m (default: as long as the daemon allows)")
	return a.onDaemon(cmd)
}

func (a *app) rollback(ctx context.Context, pidfile string) error {
	g, err := a.act(ctx, pidfile, action{
		wait:  stopWait(pidfile) + client.UpgradeWait(pidfile),
		doing: "rolling back…",
		ask: func(ctx context.Context, c *client.Client) (*protocol.Answer, error) {
			if _, err := c.Rollback(ctx); err != nil {
				return nil, err
			}
			return serving(ctx, pidfile, c.Sees()) // the daemon's user can have it answer anything
		},
	})
	if err != nil {
		return noProbation(err)
	}
	a.out.Serving = &g
	a.say("rolled back: %s serves alone again", g.name())
	return nil
}

// serving is the generation that serves by the daemon's files. It lives, and is the daemon's, where processes can be seen from here.
func serving(ctx context.Context, pidfile string, sees bool) (*protocol.Answer, error) {
	if !sees {
		r, err := process.AwaitRecord(ctx, pidfile)
		if err != nil {
			return nil, err
		}
		return &protocol.Answer{Generation: r.State.Generation, PID: r.State.PID}, nil
	}
	r, err := process.Await(ctx, pidfile)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return &protocol.Answer{Generation: r.State.Generation, PID: r.PID}, nil
}

// noProbation completes the refusal by what there is to do.
func noProbation(err error) error {
	var refused *client.AnswerError
	if !errors.As(err, &refused) || refused.Answer.Code != protocol.CodeNoProbation {
		return err
	}
	return fmt.Errorf("%w: to go back, install the previous binary and upgrade", err)
}
