package protocols

import (
	"context"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// TestStopRightAfterUpgrade stops a daemon while the idle connections of its clients move from one
// generation to the next. Those that have not moved yet cannot any more, and are as idle as the
// others: nobody waits for them until stop_timeout.
func TestStopRightAfterUpgrade(t *testing.T) {
	const limit = time.Minute
	for range 5 {
		d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\nstop_timeout "+limit.String()+"\n")
		for range 100 {
			loadtest.DialKeepAlive(t, daemontest.Target(t, d, "web")).Get()
		}
		daemontest.Upgrade(t, d)
		asked := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
		t.Cleanup(cancel)
		if err := d.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := d.WaitAlive(ctx, 0); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took > limit/2 {
			t.Errorf("the stop took %v", took)
		}
	}
}
