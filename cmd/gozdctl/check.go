package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	internalcheck "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func checkCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check CONFIG | -c CONFIG",
		Short: "check a configuration as a start would, without starting",
		Long: `Reads a configuration and looks for everything that a start by this user on this machine would
find wrong: mistakes in the text, key pairs that do not load, addresses that are in use (not
those of the daemon itself, if it runs), users, directories and permissions. It starts nothing
and changes no file. Each problem is a line on standard error.`,
		Args: configArgs(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.config == "" {
				a.config = args[0]
			}
			return a.check(cmd.Context(), a.config)
		},
		ValidArgsFunction: completeFiles("conf", "yaml", "yml", "toml", "json"),
	}
	cmd.Flags().StringVarP(&a.config, "config", "c", "", "the configuration `file`")
	cmd.Flags().StringVar(&a.program, "program", "", "the program's `name`, if the configuration has no pidfile")
	return a.verb(cmd)
}

// configArgs wants one configuration, with -c or without.
func configArgs(a *app) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if (a.config == "") == (len(args) == 0) || len(args) > 1 {
			return usageError("it takes one configuration file")
		}
		return nil
	}
}

// errFound is wrapped by the errors of a check: whatever their cause is, they are findings.
var errFound = errors.New("the configuration is not good")

// findings are all that a check has found, a line each.
type findings struct{ err error }

func (f *findings) Error() string   { return f.err.Error() }
func (f *findings) Unwrap() []error { return []error{errFound, f.err} }

func (a *app) check(ctx context.Context, file string) error {
	conf, err := a.loadConfig(file)
	if errors.Is(err, fs.ErrPermission) { // nothing was checked
		return err
	}
	a.out.Check = &checkOutcome{Config: file, Problems: []string{}}
	running := ""
	if err == nil {
		a.out.Check.Config = conf.File
		running, err = a.checkStart(ctx, conf)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		a.out.Check.Problems = strings.Split(strings.TrimSuffix(err.Error(), "\n"), "\n")
		return &findings{err}
	}
	a.say("%s: the configuration is good%s", conf.File, running)
	return nil
}

// checkStart looks at the machine, knowing what the daemon itself has if it runs.
func (a *app) checkStart(ctx context.Context, conf *config.Config) (running string, err error) {
	if isDefault(conf) { // its directory is the runtime directory, whatever its name is
		conf.Daemon.PIDFile = strings.ReplaceAll(conf.Daemon.PIDFile, nobody, "gozdctl")
		return "", startable(ctx, conf, nil)
	}
	a.out.PIDFile = conf.Daemon.PIDFile
	r, err := process.Await(ctx, conf.Daemon.PIDFile)
	if err != nil {
		return "", startable(ctx, conf, nil)
	}
	defer r.Close()
	a.out.Serving = &generation{r.State.Generation, r.PID}
	running = fmt.Sprintf(" (the daemon runs by it: pid %d)", r.PID)
	if conf.Source.ModTime().After(r.State.Since) {
		running = fmt.Sprintf(" (the daemon runs by an older version of it: pid %d; an upgrade takes this one)", r.PID)
	}
	if other := (*control.OtherConfigError)(nil); errors.As(control.RunsBy(ctx, conf.Daemon.PIDFile, conf.File, conf.Source), &other) {
		running = fmt.Sprintf(" (the daemon that has its PID file runs by %s: pid %d)", other.Config, r.PID)
	}
	return running, startable(ctx, conf, r.State.Listen)
}

// startable returns when ctx ends, too: names of hosts are looked up one after the other, and each can take a while.
func startable(ctx context.Context, conf *config.Config, listen map[string]string) error {
	found := make(chan error, 1)
	go func() { found <- internalcheck.Start(conf, listen) }()
	select {
	case err := <-found:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
