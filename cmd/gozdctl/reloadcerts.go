package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

func reloadCertsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload-certs " + aboutTarget,
		Short: "take renewed certificates, without an upgrade",
		Long: `The daemon reads key, cert and client_ca of its groups again. New connections are served by what has been
renewed; open ones go on. A group of which a file is bad goes on with what it has, and the exit status is 1.
The daemon also looks at the files by itself, once a minute.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.reloadCerts(cmd.Context(), pidfile)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for the answer at most (default 5s)")
	return a.onDaemon(cmd)
}

func (a *app) reloadCerts(ctx context.Context, pidfile string) error {
	g, err := a.act(ctx, pidfile, action{
		wait: askTimeout,
		ask: func(ctx context.Context, c *client.Client) (*protocol.Answer, error) {
			answer, err := c.ReloadCerts(ctx)
			if err == nil {
				a.out.Renewed = answer.Renewed
			}
			return answer, err
		},
	})
	if err != nil {
		return err
	}
	a.out.Asked = &g
	what := "nothing: the files are those that it serves by"
	if len(a.out.Renewed) > 0 {
		what = "the new certificates of " + strings.Join(a.out.Renewed, ", ")
	}
	a.say("reloaded: %s has taken %s", g.name(), what)
	return nil
}
