package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
)

const aboutTarget = "PIDFILE | -c CONFIG"

// nobody is a program that no PID file is named after: a default PID file that is, was
// named in no configuration.
const nobody = "gozdctl\x00"

// onDaemon adds what says which daemon is meant.
func (a *app) onDaemon(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.config, "config", "c", "", "the daemon's configuration `file`, instead of its PID file")
	cmd.Flags().StringVar(&a.program, "program", "", "with -c: the program's `name`, if the configuration has no pidfile")
	cmd.Args = targetArgs(a)
	cmd.ValidArgsFunction = completeFiles("pid")
	_ = cmd.RegisterFlagCompletionFunc("config", completeFiles("conf", "yaml", "yml", "toml", "json"))
	return a.verb(cmd)
}

// targetArgs wants one PID file, or -c and none.
func targetArgs(a *app) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case a.config != "" && len(args) > 0:
			return usageError("it takes a PID file or -c, and got both")
		case a.config == "" && len(args) == 0:
			return usageError("it takes a PID file, or a configuration with -c")
		case len(args) > 1:
			return usageError("it takes one PID file, and got %d arguments", len(args))
		case a.program != "" && a.config == "":
			return usageError("--program needs -c")
		}
		return nil
	}
}

// target finds the PID file of the daemon that the command line means, and notes it for the report.
func (a *app) target(ctx context.Context, args []string) (pidfile string, err error) {
	if a.config == "" {
		a.out.PIDFile = args[0]
		return args[0], nil
	}
	conf, err := a.namedConfig()
	if err != nil {
		return "", err
	}
	return conf.Daemon.PIDFile, control.RunsBy(ctx, conf.Daemon.PIDFile, conf.File, conf.Source)
}

// namedConfig is the one of -c, with a PID file, which it notes for the report.
func (a *app) namedConfig() (*config.Config, error) {
	conf, err := a.loadConfig(a.config)
	if err != nil {
		return nil, err
	}
	if isDefault(conf) {
		return nil, usageError("%s names no pidfile, and its default has the program's name: say --program NAME, or name the PID file itself", a.config)
	}
	a.out.PIDFile = conf.Daemon.PIDFile
	return conf, nil
}

func (a *app) loadConfig(file string) (*config.Config, error) {
	program := a.program
	if program == "" {
		program = nobody
	}
	return config.Load(file, config.Options{Program: program, OwnTLS: true, AnySocket: true})
}

// isDefault reports whether nobody knows the PID file's name.
func isDefault(conf *config.Config) bool {
	return strings.HasPrefix(filepath.Base(conf.Daemon.PIDFile), nobody)
}

// completeFiles completes the names of files with one of the extensions.
func completeFiles(extensions ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return extensions, cobra.ShellCompDirectiveFilterFileExt
	}
}
