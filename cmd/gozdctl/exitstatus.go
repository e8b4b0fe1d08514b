package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// The exit statuses. aboutExitStatus says what each means.
const (
	statusOK         = 0
	statusFailed     = 1
	statusUsage      = 2
	statusNotRunning = 3
	statusUnknown    = 4
	statusPermission = 5
)

const aboutExitStatus = `The exit status of gozdctl says what has happened:

    0  it is done. After upgrade: the new generation serves.
    1  it failed, and nothing has changed: a daemon that served still serves, and
       standard error has the reason in the daemon's own words. After check: the
       configuration would not start. After rollback: there was nothing to roll back.
       After restart: the daemon may have ended, which standard output says.
       Also if the daemon has no control socket, or the time ran out before it could be
       asked: then gozdctl has asked nobody.
    2  usage: the command line makes no sense, and nothing was tried.
    3  the daemon is not running, or has ended meanwhile. A PID file may still be there.
    4  the time ran out, or gozdctl was interrupted, before the outcome was known: it
       may still succeed. Ask again with gozdctl status.
    5  no permission: the daemon, or a file, is another user's. Nothing has changed.

No process but the daemon is ever signalled or asked: the lock and the process's
start time are checked first. So a stale PID file is status 3.

If the new generation serves after an upgrade, the status is 0, even if the old one has
not drained within --timeout. Standard error says that it still drains.`

// exitStatusTopic is a page of the help, and no command.
func exitStatusTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-status", Short: "What the exit statuses mean", Long: aboutExitStatus, DisableFlagsInUseLine: true}
}

// errUsage is wrapped by errors about a command line that makes no sense.
var errUsage = errors.New("usage")

// errPatience is wrapped by errors that mean: the time ran out before the outcome was known.
var errPatience = errors.New("the outcome is not known")

// errNotAsked is wrapped by errors that mean: the time ran out, or gozdctl was interrupted, before the daemon was asked for what it was to do.
// Nothing has changed then.
var errNotAsked = errors.New("the daemon has not been asked")

// unasked says so of an error of looking for the daemon that comes from the end of ctx.
func unasked(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, process.ErrNotRunning) {
		return err
	}
	return fmt.Errorf("%w: %w", errNotAsked, err)
}

// usageError is an error whose text is only what is wrong.
func usageError(format string, args ...any) error {
	return &markedError{mark: errUsage, text: fmt.Sprintf(format, args...)}
}

// markedError is an error of the kind mark, which its text does not repeat.
type markedError struct {
	mark error
	text string
}

func (e *markedError) Error() string { return e.text }
func (e *markedError) Unwrap() error { return e.mark }

// statusOf is the exit status that belongs to an error.
func statusOf(err error) int {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return statusOK
	case is(errUsage):
		return statusUsage
	case is(errFound): // whatever it found, it is a finding
		return statusFailed
	case is(process.ErrNotRunning):
		return statusNotRunning
	case !is(errNotAsked) && is(errPatience, client.ErrUnknownOutcome, context.DeadlineExceeded, context.Canceled):
		return statusUnknown
	case is(client.ErrPermission, fs.ErrPermission):
		return statusPermission
	}
	return statusFailed
}
