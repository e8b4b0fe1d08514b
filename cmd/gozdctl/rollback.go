package main

import (
	"context"
	"fmt"
	"io"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
)

// rollback ends the upgrade that is on probation.
func rollback(ctx context.Context, args []string, stdout, _ io.Writer) error {
	pidfile, err := argument(args, "PID file")
	if err != nil {
		return err
	}
	s, err := control.Rollback(ctx, pidfile)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "rolled back: pid %d (generation %d) serves alone again\n", s.PID, s.Generation)
	return err
}
