package main

import (
	"context"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

func reopenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reopen " + aboutTarget,
		Short: "reopen the log file in every generation",
		Long:  `Every generation of the daemon opens its log file again. Use it after logrotate has moved the file away.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.reopen(cmd.Context(), pidfile)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for the answer at most (default 5s)")
	return a.onDaemon(cmd)
}

func (a *app) reopen(ctx context.Context, pidfile string) error {
	hasLog := true
	g, err := a.act(ctx, pidfile, action{
		wait: askTimeout,
		ask: func(ctx context.Context, c *client.Client) (*protocol.Answer, error) {
			answer, err := c.Reopen(ctx)
			if s, failed := c.StatusAlone(ctx); failed == nil {
				hasLog = s.Log != ""
			}
			return answer, err
		},
	})
	if err != nil {
		return err
	}
	a.out.Asked = &g
	if !hasLog { // the program may have files of its own
		a.say("reopened: %s has told its program, and the older generations: the configuration names no log", g.name())
		return nil
	}
	a.say("reopened: %s has reopened its log, and told the older generations", g.name())
	return nil
}
