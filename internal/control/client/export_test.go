package client

import (
	"context"
	"net/http"
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
