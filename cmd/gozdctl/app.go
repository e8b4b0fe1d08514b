package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

// app is one run of gozdctl.
type app struct {
	stdout, stderr *screen
	now            func() time.Time

	json    bool   // the outcome goes to standard output as JSON
	config  string // -c
	program string // --program
	timeout time.Duration

	said bool // what an error says has been printed

	out outcome
}

func newApp(stdout, stderr *screen) *app {
	return &app{stdout: stdout, stderr: stderr, now: time.Now}
}

// verb makes a command that acts on a daemon, or shows it.
func (a *app) verb(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.json, "json", false, "print the outcome as JSON (docs/gozdctl.md has the schema)")
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// finish tells how it went, and returns the exit status.
func (a *app) finish(cmd *cobra.Command, err error) int {
	name := calledAs(cmd)
	a.out.Command = name
	a.out.ExitStatus = statusOf(err)
	if err != nil {
		a.out.Error = err.Error()
		if !a.said {
			a.complain(cmd, name, err)
		}
	}
	if a.json {
		a.printJSON()
	}
	if err == nil && !a.out.acted && a.stdout.err != nil {
		a.warn(fmt.Sprintf("%s: standard output: %v", name, a.stdout.err))
		return statusFailed
	}
	return a.out.ExitStatus
}

// calledAs is the verb as the operator has it: an alias stays an alias.
func calledAs(cmd *cobra.Command) string {
	if name := cmd.CalledAs(); name != "" {
		return name
	}
	return cmd.Name()
}

// complain prints an error on standard error, each line of it with gozdctl's name,
// and what to do next.
func (a *app) complain(cmd *cobra.Command, name string, err error) {
	if cmd.HasParent() {
		name += ": "
	} else {
		name = ""
	}
	for line := range strings.Lines(printable.Text(err.Error())) {
		a.warn(name + strings.TrimSuffix(line, "\n"))
	}
	if errors.Is(err, errUsage) {
		a.warn(fmt.Sprintf("see %s --help", cmd.CommandPath()))
		return
	}
	if next := a.advice(cmd, err); next != "" {
		a.out.Advice = next
		a.warn(next)
	}
}

// warn prints a line on standard error that begins with gozdctl's name.
func (a *app) warn(line string) {
	const name = "gozdctl:"
	text := a.stderr.fold(name + " " + printable.Line(line))
	a.stderr.printf("%s%s\n", a.stderr.paint(red, name), strings.TrimPrefix(text, name))
}

// say prints what has been done, for people.
func (a *app) say(format string, args ...any) {
	if !a.json {
		a.stdout.printf("%s\n", a.stdout.fold(printable.Line(fmt.Sprintf(format, args...))))
	}
}

func (a *app) printJSON() {
	data, err := json.Marshal(&a.out)
	if err != nil { // nothing in it can fail
		a.warn(err.Error())
		return
	}
	a.stdout.printf("%s\n", printable.JSON(data))
}
