package client

import (
	"context"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// reloadTurns is how many times the wait for one upgrade Reload takes at most: others may have asked before.
const reloadTurns = 10

// Reload asks the daemon that runs by a PID file for an upgrade, as [Client.Upgrade] does, and returns when the next
// generation serves. It does not wait for the old one to drain. onEvent, if non-nil, is called with each event.
//
// It gives up when nothing has been heard for as long as the daemon allows an upgrade; see [UpgradeWait]. Each event
// renews that patience. The daemon's user could send events for ever: so the whole takes no longer than ten times as
// long, and never longer than a day. The error wraps [ErrUnknownOutcome] then, unless no generation was asked.
func Reload(ctx context.Context, pidfile string, onEvent func(protocol.Event)) (up *Upgraded, err error) {
	wait := UpgradeWait(pidfile)
	whole := min(reloadTurns*wait, process.MaxWait)
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	after := func(d time.Duration, what string) *time.Timer {
		return time.AfterFunc(d, func() { giveUp(fmt.Errorf("%s after %v", what, d)) })
	}
	silence, end := after(wait, "nothing was heard"), after(whole, "the upgrade still goes on")
	defer silence.Stop()
	defer end.Stop()
	err = Ask(ctx, pidfile, func(c *Client) (err error) {
		up, err = c.Upgrade(ctx, UpgradeOptions{NoDrain: true}, func(e protocol.Event) {
			silence.Reset(wait)
			if onEvent != nil {
				onEvent(e)
			}
		})
		return err
	})
	return up, err
}
