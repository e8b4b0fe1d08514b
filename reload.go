package gozd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// reload asks the daemon's control socket, which answers when nobody is accepted by the old generation any more. A daemon
// without one is asked by a signal, and its state file says when the new generation serves: for an instant, the old
// one may accept still.
func (a *arguments) reload(ctx context.Context, pidfile string) error {
	start := time.Now()
	up, err := reloadByControl(ctx, pidfile)
	if errors.Is(err, client.ErrNoSocket) {
		return a.reloadBySignal(ctx, pidfile)
	}
	if failed := (*client.UpgradeError)(nil); errors.As(err, &failed) && failed.Stage != "" {
		return fmt.Errorf("reload: %w; %s%s", err, failed.Remains(), inPlace(failed.Stage))
	}
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	a.sayReloaded(up.Served.PID, up.OldPID, time.Since(start))
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

// reloadByControl gives up when nothing has been heard for as long as the daemon allows an upgrade.
func reloadByControl(ctx context.Context, pidfile string) (*client.Upgraded, error) {
	c, err := client.Dial(ctx, pidfile)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	wait := client.UpgradeWait(pidfile)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	impatience := time.AfterFunc(wait, func() { cancel(fmt.Errorf("nothing was heard for %v", wait)) })
	defer impatience.Stop()
	return c.Upgrade(ctx, client.UpgradeOptions{NoDrain: true}, func(protocol.Event) { impatience.Reset(wait) })
}

func (a *arguments) reloadBySignal(ctx context.Context, pidfile string) error {
	up, err := control.Upgrade(ctx, pidfile)
	if errors.As(err, new(*control.FailedError)) {
		return fmt.Errorf("reload: %w%s", err, inPlace(""))
	}
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	a.sayReloaded(up.New.PID, up.Old.PID, up.Took)
	return nil
}

func (a *arguments) sayReloaded(pid, old int, took time.Duration) {
	a.say("reload: pid %d replaces pid %d after %v", pid, old, took.Round(time.Millisecond))
}
