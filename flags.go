package gozd

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// The exit statuses of Daemonize.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// commands are the values of -s.
var commands = []string{"start", "stop", "quit", "reopen", "reload"}

// arguments are what the command line says.
type arguments struct {
	command    string
	config     string
	foreground bool
	verbose    bool
	test       bool
}

// define adds gozd's flags to a program's own. The defaults are the program's.
func (a *arguments) define(fs *flag.FlagSet, opts Options) error {
	for _, name := range []string{"s", "c", "f", "v", "t"} {
		if fs.Lookup(name) != nil {
			return fmt.Errorf("gozd: flag -%s is the daemon's, and the program has defined it for itself", name)
		}
	}
	fs.StringVar(&a.command, "s", "start", "`command`: "+strings.Join(commands, ", "))
	fs.StringVar(&a.config, "c", opts.config(), "configuration `file`")
	fs.BoolVar(&a.foreground, "f", false, "stay in the foreground")
	fs.BoolVar(&a.verbose, "v", opts.Verbose, "show details in the daemon's own log")
	fs.BoolVar(&a.test, "t", false, "test the configuration and exit")
	return nil
}

// check reports what the flag package cannot know.
func (a *arguments) check(what string) error {
	if slices.Contains(commands, a.command) {
		return nil
	}
	return fmt.Errorf("%s: unknown command %q: it takes %s", what, a.command, strings.Join(commands, ", "))
}

// parseArguments reads the command line together with the program's own flags.
func parseArguments(opts Options) (*arguments, error) {
	a := new(arguments)
	if err := a.define(flag.CommandLine, opts); err != nil {
		return nil, err
	}
	if !flag.Parsed() {
		flag.Parse() // on an error it prints the usage and exits with status 2
		if flag.NArg() > 0 {
			return a, leftOver(flag.Arg(0))
		}
	}
	return a, a.check("flag -s")
}

// leftOver is the error for an argument that is no flag: mostly it should have been one.
func leftOver(arg string) error {
	if slices.Contains(commands, arg) {
		return fmt.Errorf("unexpected argument %q: did you mean -s %[1]s?", arg)
	}
	return fmt.Errorf("unexpected argument %q: a program with arguments of its own parses them, and calls gozd.Run", arg)
}

// arguments are those of a program with a command line of its own.
func (c Command) arguments(opts Options) (*arguments, error) {
	if c.Config != "" {
		opts.Config = c.Config
	}
	a := &arguments{
		command: cmp.Or(c.Action, "start"), config: opts.config(),
		foreground: c.Foreground, verbose: c.Verbose || opts.Verbose, test: c.Check,
	}
	return a, a.check("gozd.Command.Action")
}
