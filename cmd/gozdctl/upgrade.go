package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
)

// upgrade asks the daemon for an upgrade and waits until a new generation is
// ready.
func upgrade(ctx context.Context, args []string, stdout, _ io.Writer) error {
	pidfile, err := argument(args, "PID file")
	if err != nil {
		return err
	}
	up, err := control.Upgrade(ctx, pidfile)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "upgraded: pid %d (generation %d) replaces pid %d (generation %d), ready after %v\n",
		up.New.PID, up.New.Generation, up.Old.PID, up.Old.Generation, up.Took.Round(time.Millisecond))
	return err
}
