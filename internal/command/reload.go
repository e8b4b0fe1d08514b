package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// reload asks the daemon's control socket, which answers when nobody is accepted by the old generation any more.
func (c *Command) reload(ctx context.Context, pidfile string) error {
	start := time.Now()
	up, err := client.Reload(ctx, pidfile, nil)
	if failed := (*client.UpgradeError)(nil); errors.As(err, &failed) && failed.Stage != "" {
		return fmt.Errorf("reload: %w; %s%s", err, failed.Remains(), inPlace(failed.Stage))
	}
	if errors.Is(err, client.ErrNoSocket) {
		return fmt.Errorf("reload: %w: the daemon's log says why; SIGHUP upgrades it, and nobody tells the outcome", err)
	}
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	c.say("reload: pid %d replaces pid %d after %v", up.Served.PID, up.OldPID, time.Since(start).Round(time.Millisecond))
	return nil
}

// inPlace says what a service manager would start where an upgrade has failed. One that the program has refused says nothing
// of what is new.
func inPlace(stage string) string {
	if stage == upgrade.StageRefused {
		return ""
	}
	return "; what has failed is still in place, and the next restart will start it"
}
