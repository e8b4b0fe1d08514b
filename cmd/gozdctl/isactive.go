package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func isActiveCommand(a *app) *cobra.Command {
	quiet := false
	cmd := &cobra.Command{
		Use:   "is-active " + aboutTarget,
		Short: "say in a word, and by the exit status, whether the daemon serves",
		Long: `Prints "active", with exit status 0, if a generation of the daemon serves, and "inactive", with exit
status 3, if none does. A daemon that does not answer within half a second holds its
lock, and is active. Where gozdctl cannot tell, it prints no word, and the exit status is another one.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.isActive(cmd.Context(), args)
			word := "active"
			if errors.Is(err, process.ErrNotRunning) {
				word, a.said = "inactive", true
			} else if err != nil {
				return err
			}
			if !quiet {
				a.say("%s", word)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait at most while the daemon starts or ends (default 5s)")
	return a.onDaemon(cmd)
}

// isActive returns an error that wraps process.ErrNotRunning where no generation serves.
func (a *app) isActive(ctx context.Context, args []string) error {
	ctx, p := a.newPatience(ctx, askTimeout)
	defer p.end()
	pidfile, err := a.target(ctx, args)
	if err == nil {
		err = serves(ctx, pidfile)
	}
	switch {
	case errors.Is(err, client.ErrNoSocket): // and its process was looked at
		return nil
	case errors.Is(err, fs.ErrNotExist) && a.out.PIDFile != "": // it still starts; else it is the configuration that is missing
		return fmt.Errorf("%w: %w", process.ErrNotRunning, err)
	}
	return err
}

// answerWait is how long a generation may take to say whether it serves. One that does not is busy, or stopped: it has the daemon's lock.
const answerWait = 500 * time.Millisecond

func serves(ctx context.Context, pidfile string) error {
	c, err := client.Dial(ctx, pidfile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	s, err := c.StatusAlone(ctx)
	if err != nil {
		return nil // see answerWait
	}
	for _, g := range s.Generations {
		if g.PID == c.PID() && g.State == protocol.Draining {
			return fmt.Errorf("%s: %w: pid %d drains, and accepts nothing", pidfile, process.ErrNotRunning, g.PID)
		}
	}
	return nil
}
