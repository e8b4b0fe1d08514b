package loadtest

import (
	"errors"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// BeginSlow sends a request that takes d, and returns when it has been sent. What became of it comes
// by the channel.
func BeginSlow(t *testing.T, to load.Target, d time.Duration) <-chan error {
	t.Helper()
	sent := make(chan struct{})
	c, err := load.NewSlow(to, load.SlowOptions{Delay: d, Sent: func() { close(sent) }})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := c.Do(t.Context())
		result <- errors.Join(err, c.Close())
	}()
	select {
	case <-sent:
	case err := <-result:
		t.Fatal(err)
	}
	return result
}
