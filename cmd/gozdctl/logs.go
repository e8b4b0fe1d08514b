package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

func logsCommand(a *app) *cobra.Command {
	follow, lines := false, 0
	cmd := &cobra.Command{
		Use:   "logs " + aboutTarget,
		Short: "say where the log is, or follow it",
		Long: `Prints the path of the daemon's log. With -f it prints the last lines of the log and goes on with
what is added, as tail -F does, until it is interrupted. Root reads the log of another user's daemon
with that user's rights, in his own group alone; so also where -c names another user's configuration.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, owner, err := a.logPath(cmd.Context(), args, follow)
			if err != nil {
				return err
			}
			a.out.Log = path
			if !follow {
				a.say("%s", path)
				return nil
			}
			if a.json {
				return usageError("--json does not go with -f: a log is what it is")
			}
			return followFile(cmd.Context(), path, lines, owner, a.stdout)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print what is added")
	cmd.Flags().IntVarP(&lines, "lines", "n", 10, "with -f: how many `lines` to begin with")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for the answer at most (default 5s)")
	return a.onDaemon(cmd)
}

// errNoLog means that the daemon's output goes to no file.
var errNoLog = errors.New("its configuration names no log")

// logPath asks the daemon, and returns who says so, too, if the log is to be followed; a configuration says it also where none runs.
func (a *app) logPath(ctx context.Context, args []string, follow bool) (path string, owner int, err error) {
	if a.config != "" {
		conf, err := a.loadConfig(a.config)
		if err != nil {
			return "", 0, err
		}
		if path, err = logOf(conf); err != nil {
			return "", 0, err
		}
		if !follow {
			return path, 0, nil
		}
		if owner, err = authorOf(conf); err != nil {
			return "", 0, fmt.Errorf("log: %w", err)
		}
		return path, owner, nil
	}
	pidfile, err := a.target(ctx, args)
	if err != nil {
		return "", 0, err
	}
	s, owner, err := a.askOwnersStatus(ctx, pidfile)
	if err != nil {
		return "", 0, err
	}
	if s.Log == "" {
		return "", 0, fmt.Errorf("%s: %w", s.Config, errNoLog)
	}
	return s.Log, owner, nil
}

func logOf(conf *config.Config) (string, error) {
	if conf.Daemon.Log == "" {
		return "", fmt.Errorf("%s: %w", conf.File, errNoLog)
	}
	return conf.Daemon.Log, nil
}
