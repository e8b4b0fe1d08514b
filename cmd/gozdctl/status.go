package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

func statusCommand(a *app) *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:   "status " + aboutTarget,
		Short: "show all living generations",
		Long: `Shows all generations of the daemon that live: what each does, since when, by which binary, with how many
connections in each group, and until when. With --watch it does so once a second, on a
terminal in place, until it is interrupted or the daemon has ended.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			if watch {
				return a.watch(cmd.Context(), pidfile)
			}
			return a.status(cmd.Context(), pidfile)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it once a second")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for the answer at most (default 5s)")
	return a.onDaemon(cmd)
}

func (a *app) status(ctx context.Context, pidfile string) error {
	s, err := a.askStatus(ctx, pidfile)
	if err != nil {
		return err
	}
	a.out.Status = s
	if !a.json {
		v := view{status: s, now: a.now(), s: a.stdout}
		v.write()
	}
	return nil
}

// askStatus asks the daemon.
func (a *app) askStatus(ctx context.Context, pidfile string) (*protocol.Status, error) {
	s, _, err := a.askOwnersStatus(ctx, pidfile)
	return s, err
}

// askOwnersStatus also returns the number of the user whose daemon it is, who can say in it whatever he likes.
func (a *app) askOwnersStatus(ctx context.Context, pidfile string) (s *protocol.Status, owner int, err error) {
	ctx, p := a.newPatience(ctx, askTimeout)
	defer p.end()
	pid := 0
	err = client.Ask(ctx, pidfile, func(c *client.Client) (err error) {
		pid, owner = c.PID(), c.Owner()
		s, err = c.Status(ctx)
		return err
	})
	if pid == 0 {
		return nil, 0, err
	}
	return s, owner, impatient(ctx, fmt.Sprintf("pid %d does not answer", pid), err)
}

// interval is the time between two looks of --watch.
const interval = time.Second
