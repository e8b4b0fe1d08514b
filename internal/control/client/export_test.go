package client

import (
	"context"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// DryRunOptions are those of DryRun.
var DryRunOptions = UpgradeOptions{dryRun: true}

// Answered returns a Client whose requests are answered by answers.
func Answered(pidfile string, pid int, answers http.RoundTripper) *Client {
	c := newClient(pidfile, pid, nil)
	c.send = func(ctx context.Context, method, path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, "http://gozd"+path, http.NoBody)
		if err != nil {
			return nil, err
		}
		return answers.RoundTrip(req)
	}
	return c
}

// SettleWait is how long files may take to settle.
const SettleWait = settleWait

// MaxGroups is how many groups of all generations are believed.
const MaxGroups = maxGroups

// Own leaves out what is another user's process.
var Own = own

// OwnOf is Own for the generations of a user's daemon.
func OwnOf(ctx context.Context, pidfile string, owner int, all []protocol.Generation) []protocol.Generation {
	c := &Client{pidfile: pidfile, owner: owner}
	return own(ctx, all, c.isAnothers)
}

// SupervisorOf is who is believed to be the supervisor where the generation with a PID answers and says so.
func SupervisorOf(generation int, sees bool, said, asker int) control.Process {
	c := &Client{pid: generation, sees: sees}
	return c.supervisor(said, asker)
}
