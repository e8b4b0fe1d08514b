package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

func quitCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quit " + aboutTarget,
		Short: "end the daemon when its connections have ended",
		Long: `Every generation of the daemon accepts nothing more, lets open connections finish for drain_timeout,
and ends. gozdctl returns when that has begun, and does not wait for the end.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.quit(cmd.Context(), pidfile)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for the answer at most (default 5s)")
	return a.onDaemon(cmd)
}

func (a *app) quit(ctx context.Context, pidfile string) error {
	var last protocol.Generation
	g, err := a.act(ctx, pidfile, action{
		wait: askTimeout,
		ask: func(ctx context.Context, c *client.Client) (*protocol.Answer, error) {
			answer, err := c.Quit(ctx)
			if err == nil {
				last = self(ctx, c)
			}
			return answer, err
		},
	})
	if err != nil {
		return err
	}
	a.out.Asked = &g
	until := ""
	if last.State == protocol.Draining && !last.Until.IsZero() {
		until = ", at the latest at " + last.Until.Local().Format(time.TimeOnly)
	}
	a.say("quitting: %s accepts nothing more, and ends when its connections have ended%s", g.name(), until)
	return nil
}

// self is what the generation that was asked says of itself; nothing where it does not, or
// has ended.
func self(ctx context.Context, c *client.Client) protocol.Generation {
	ctx, cancel := moment(ctx)
	defer cancel()
	s, err := c.StatusAlone(ctx)
	if err != nil || len(s.Generations) != 1 {
		return protocol.Generation{}
	}
	return s.Generations[0]
}
