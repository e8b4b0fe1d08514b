package gozd

import (
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
	fs.BoolVar(&a.verbose, "v", opts.Verbose, "show the daemon's own log")
	fs.BoolVar(&a.test, "t", false, "test the configuration and exit")
	return nil
}

// check reports what the flag package cannot know.
func (a *arguments) check() error {
	if slices.Contains(commands, a.command) {
		return nil
	}
	return fmt.Errorf("flag -s: unknown command %q: it takes %s", a.command, strings.Join(commands, ", "))
}

// parseArguments reads the command line together with the program's own flags.
func parseArguments(opts Options) (*arguments, error) {
	a := new(arguments)
	if err := a.define(flag.CommandLine, opts); err != nil {
		return nil, err
	}
	if !flag.Parsed() {
		flag.Parse() // on an error it prints the usage and exits with status 2
	}
	return a, a.check()
}
