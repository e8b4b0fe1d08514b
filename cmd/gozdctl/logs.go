package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

func logsCommand(a *app) *cobra.Command {
	var follow, path bool
	var lines uint
	cmd := &cobra.Command{
		Use:   "logs " + aboutTarget,
		Short: "print the end of the log, or follow it",
		Long: `Prints the last lines of the daemon's log. With -f it goes on with what is added, as tail -F does,
until it is interrupted. Lines are looked for in the last 64 MiB, and 4 KiB more for each. With --path,
and with --json, it prints only the path of the log.

Root reads the log of another user's daemon with that user's rights, in his own group alone. The
same goes for the log that another user's configuration names with -c.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case follow && a.json:
				return usageError("--json does not go with -f: a log is plain text")
			case follow && path:
				return usageError("--path does not go with -f")
			}
			path = path || a.json
			log, owner, err := a.logPath(cmd.Context(), args, !path)
			if err != nil {
				return err
			}
			a.out.Log = log
			if path {
				a.say("%s", log)
				return nil
			}
			return printLog(cmd.Context(), log, lines, follow, owner, a.stdout)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is added")
	cmd.Flags().UintVarP(&lines, "lines", "n", 10, "how many `lines` to print, or to begin with")
	cmd.Flags().BoolVar(&path, "path", false, "print only the path of the log")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for the daemon's answer at most (default 5s)")
	return a.onDaemon(cmd)
}

// errNoLog means that the daemon's output goes to no file.
var errNoLog = errors.New("its configuration names no log; where systemd runs it, journalctl has what it says")

// logPath asks the daemon. It also returns who says so, if the log is to be read. A configuration says it even where no daemon runs.
func (a *app) logPath(ctx context.Context, args []string, read bool) (path string, owner int, err error) {
	if a.config != "" {
		conf, err := a.loadConfig(a.config)
		if err != nil {
			return "", 0, err
		}
		if path, err = logOf(conf); err != nil {
			return "", 0, err
		}
		if !read {
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
