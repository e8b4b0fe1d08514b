// Command gozdctl is the operator's tool for daemons built with gozd: it asks a
// running daemon for an upgrade and waits for the outcome, says what runs, and
// checks configurations.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
)

// The exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

const usage = `Usage: gozdctl COMMAND ARGUMENT

  upgrade PIDFILE   start the newest binary and wait until it serves
  rollback PIDFILE  end the upgrade that is on probation
  status PIDFILE    show the generation that serves
  check CONFIG      check a configuration file

Exit status: 0 done; 1 failed, and a daemon that ran still runs; 2 usage.
`

// errUsage is returned for a command line that makes no sense.
var errUsage = errors.New("usage")

// command is one verb.
type command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

var commands = map[string]command{
	"upgrade":  upgrade,
	"rollback": rollback,
	"status":   status,
	"check":    check,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help") {
		_, _ = io.WriteString(stdout, usage)
		return statusOK
	}
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return statusUsage
	}
	do, ok := commands[args[0]]
	if !ok {
		_, _ = fmt.Fprintf(stderr, "gozdctl: unknown command %q\n%s", args[0], usage)
		return statusUsage
	}
	switch err := do(ctx, args[1:], stdout, stderr); {
	case err == nil:
		return statusOK
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprintf(stderr, "gozdctl: %v\n%s", err, usage)
		return statusUsage
	default:
		_, _ = fmt.Fprintf(stderr, "gozdctl: %s: %v\n", args[0], err)
		return statusFailed
	}
}

// argument returns the only argument of a command.
func argument(args []string, name string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("%w: it takes one %s, and got %d arguments", errUsage, name, len(args))
	}
	return args[0], nil
}
