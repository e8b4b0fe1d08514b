// Package command does what a program's command line says: it starts the daemon, in the background or as
// a supervisor's generation, acts on one that runs, or tests the configuration.
package command

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// The exit statuses of [Do].
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// actions are the values of -s.
var actions = []string{"start", "stop", "quit", "reopen", "reload"}

// Command is what a command line says.
type Command struct {
	Action     string // "start" if empty
	Config     string
	Foreground bool
	Verbose    bool
	Check      bool // test the configuration, instead of the Action
	OwnTLS     bool // the program has a tls.Config of its own, and groups may lack key and cert
}

// define adds gozd's flags to a program's own. The defaults are those of c.
func (c *Command) define(fs *flag.FlagSet) error {
	for _, name := range []string{"s", "c", "f", "v", "t"} {
		if fs.Lookup(name) != nil {
			return fmt.Errorf("gozd: flag -%s is the daemon's, and the program has defined it for itself", name)
		}
	}
	fs.StringVar(&c.Action, "s", "start", "`command`: "+strings.Join(actions, ", "))
	fs.StringVar(&c.Config, "c", c.Config, "configuration `file`")
	fs.BoolVar(&c.Foreground, "f", false, "stay in the foreground")
	fs.BoolVar(&c.Verbose, "v", c.Verbose, "show details in the daemon's own log")
	fs.BoolVar(&c.Check, "t", false, "test the configuration and exit")
	return nil
}

// ParseFlags reads the command line together with the program's own flags.
func (c *Command) ParseFlags() error {
	if err := c.define(flag.CommandLine); err != nil {
		return err
	}
	if !flag.Parsed() {
		flag.Parse() // on an error it prints the usage and exits with status 2
		if flag.NArg() > 0 {
			return leftOver(flag.Arg(0))
		}
	}
	return c.check("flag -s")
}

// Complete is ParseFlags for a program that has read its command line itself.
func (c *Command) Complete() error {
	c.Action = cmp.Or(c.Action, "start")
	return c.check("gozd.Command.Action")
}

// check reports what the flag package cannot know.
func (c *Command) check(what string) error {
	if slices.Contains(actions, c.Action) {
		return nil
	}
	return fmt.Errorf("%s: unknown command %q: it takes %s", what, c.Action, strings.Join(actions, ", "))
}

// leftOver is the error for an argument that is no flag: mostly it should have been one.
func leftOver(arg string) error {
	if slices.Contains(actions, arg) {
		return fmt.Errorf("unexpected argument %q: did you mean -s %[1]s?", arg)
	}
	return fmt.Errorf("unexpected argument %q: a program with arguments of its own parses them, and calls gozd.Run", arg)
}
