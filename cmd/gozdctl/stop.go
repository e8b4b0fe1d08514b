package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

func stopCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop " + aboutTarget,
		Short: "stop the daemon and wait until it has ended",
		Long: `Every generation of the daemon accepts nothing more, lets requests finish for stop_timeout, and ends.
gozdctl waits until all of them, and the supervisor, have ended: without --timeout for as long as the daemon itself allows a
stop to take.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.stop(cmd.Context(), pidfile)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait at most, as in 30s or 2m (default: as long as the daemon allows)")
	return a.onDaemon(cmd)
}

func (a *app) stop(ctx context.Context, pidfile string) error {
	began := a.now()
	var all []protocol.Generation
	g, err := a.act(ctx, pidfile, action{
		wait:  stopWait(pidfile),
		doing: "stopping: for at most " + span(stopWait(pidfile)) + "…",
		ask: func(ctx context.Context, c *client.Client) (*protocol.Answer, error) {
			s := c.PrepareStop(ctx, a.lookWait())
			if ctx.Err() != nil {
				return nil, fmt.Errorf("pid %d: %w: %w", c.PID(), errNotAsked, context.Cause(ctx))
			}
			if err := s.Ask(ctx); err != nil {
				return nil, err
			}
			all = s.Generations
			a.out.Asked = &generation{s.Answer.Generation, s.Answer.PID}
			return s.Answer, s.Await(ctx)
		},
	})
	if err != nil {
		return err
	}
	took := a.now().Sub(began)
	a.out.Asked, a.out.Seconds = &g, ptr(took.Seconds())
	a.out.Ended = []generation{g}
	text := "stopped: " + g.name()
	for _, older := range all {
		if older.PID != g.PID {
			a.out.Ended = append(a.out.Ended, generation{older.Generation, older.PID})
		}
	}
	if n := len(a.out.Ended) - 1; n > 0 {
		text += " and " + count(n, "other generation")
	}
	a.say("%s ended after %s", text, span(took))
	return nil
}

// lookWait bounds how long gozdctl looks for the daemon's processes before it asks: half of the operator's time.
func (a *app) lookWait() time.Duration {
	if a.timeout > 0 {
		return a.timeout / 2
	}
	return time.Second
}
