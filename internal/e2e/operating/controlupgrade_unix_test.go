//go:build unix

package operating

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// controlUpgrade is an upgrade that is asked for on the control socket, while it goes on.
type controlUpgrade struct {
	events chan protocol.Event // all of them
	done   chan error
	up     *client.Upgraded // set before done has a value
}

func beginUpgrade(t *testing.T, c *client.Client, opts client.UpgradeOptions) *controlUpgrade {
	t.Helper()
	u := &controlUpgrade{events: make(chan protocol.Event, 1000), done: make(chan error, 1)}
	ctx := within(t)
	go func() {
		var err error
		u.up, err = c.Upgrade(ctx, opts, func(e protocol.Event) { u.events <- e })
		u.done <- err
	}()
	return u
}

// await waits for an event, and skips others.
func (u *controlUpgrade) await(t *testing.T, kind protocol.EventType) protocol.Event {
	t.Helper()
	for late := time.After(30 * time.Second); ; {
		select {
		case e := <-u.events:
			if e.Type == kind {
				return e
			}
		case <-late:
			t.Fatalf("no event %q", kind)
		}
	}
}

func (u *controlUpgrade) result(t *testing.T) (*client.Upgraded, error) {
	t.Helper()
	select {
	case err := <-u.done:
		return u.up, err
	case <-time.After(30 * time.Second):
		t.Fatal("the upgrade does not end")
		return nil, nil
	}
}

// TestTwoUpgradesAtOnce asks for another while one is on probation. Both are done, the second
// by the generation that the first has brought up.
func TestTwoUpgradesAtOnce(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine+daemontest.SecureGroup, "probation 3s") // in which the second is asked for, however busy the machine
	first := beginUpgrade(t, dialControl(t, d), client.UpgradeOptions{})
	probation := first.await(t, protocol.OnProbation)
	second := beginUpgrade(t, dialControl(t, d), client.UpgradeOptions{})
	second.await(t, protocol.Waiting)
	if e := second.await(t, protocol.Superseded); e.PID != probation.PID || e.Generation != 2 {
		t.Errorf("superseded by %+v, want generation 2, pid %d", e, probation.PID)
	}
	if up, err := first.result(t); err != nil || up.Served.Generation != 2 || up.Drained == nil {
		t.Errorf("the first: %+v, %v, want generation 2", up, err)
	}
	if up, err := second.result(t); err != nil || up.Served.Generation != 3 || up.OldPID != probation.PID {
		t.Errorf("the second: %+v, %v, want generation 3 in place of pid %d", up, err, probation.PID)
	}
	if s := status(t, d); s.Generation != 3 || s.Upgrades.Succeeded != 2 {
		t.Errorf("status %+v, want generation 3", s)
	}
}

// TestSignalDuringControlUpgrade has HUP come while an upgrade goes on that the control socket has begun.
func TestSignalDuringControlUpgrade(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine+daemontest.SecureGroup, "probation 300ms")
	u := beginUpgrade(t, dialControl(t, d), client.UpgradeOptions{})
	u.await(t, protocol.OnProbation)
	daemontest.SignalServing(t, d, syscall.SIGHUP)
	if up, err := u.result(t); err != nil || up.Served.Generation != 2 {
		t.Fatalf("%+v, %v, want generation 2", up, err)
	}
	daemontest.Await(t, "generation 3", func() bool {
		s, err := d.State()
		return err == nil && s.Generation == 3
	})
}

// TestFailedUpgradesAreExplained asks for two at once that fail: each is tried, and each is told
// why. What failed is known to the next generation.
func TestFailedUpgradesAreExplained(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine, "upgrade_timeout 2s")
	daemontest.Fault("hang")(t, d)
	c := dialControl(t, d)
	first := beginUpgrade(t, c, client.UpgradeOptions{})
	failing := first.await(t, protocol.Started)
	second := beginUpgrade(t, dialControl(t, d), client.UpgradeOptions{})
	if s := status(t, d); !s.Upgrades.InProgress || len(s.Generations) != 2 || s.Generations[1].State != protocol.Starting || s.Generations[1].PID != failing.PID {
		t.Errorf("status %+v, want a generation that starts", s)
	}
	for i, u := range []*controlUpgrade{first, second} {
		_, err := u.result(t)
		var failed *client.UpgradeError
		if !errors.As(err, &failed) || failed.Stage != "ready" || failed.Failed == 0 || failed.PID != c.PID() ||
			!strings.HasPrefix(failed.Reason, "not ready after 2s: groups web, line") {
			t.Errorf("upgrade %d: %v, want that it failed at ready", i+1, err)
		} else if i == 0 && failed.Failed != failing.PID {
			t.Errorf("pid %d failed, want %d", failed.Failed, failing.PID)
		}
	}
	if s := status(t, d); s.Upgrades.Failed != 2 || s.Upgrades.InProgress || !strings.Contains(s.Upgrades.LastFailure, "not ready") {
		t.Errorf("upgrades %+v, want 2 that failed", s.Upgrades)
	}
	awaitSockets(t, d, 1)
	daemontest.InstallGood(t, d)
	if _, err := c.Upgrade(within(t), client.UpgradeOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if s := status(t, d); s.Upgrades.Failed != 2 || s.Upgrades.Succeeded != 1 {
		t.Errorf("upgrades %+v, want 2 that failed, 1 that succeeded", s.Upgrades)
	}
}

// TestControlDuringProbation looks at the generation on probation, rolls it back, and kills another.
func TestControlDuringProbation(t *testing.T) {
	d := daemontest.Start(t, daemontest.WebAndLine+daemontest.SecureGroup, "probation 1m")
	c := dialControl(t, d)
	var refused *client.AnswerError
	if _, err := c.Rollback(within(t)); !errors.As(err, &refused) || refused.Answer.Code != protocol.CodeNoProbation {
		t.Errorf("rollback without an upgrade: %v", err)
	}
	u := beginUpgrade(t, c, client.UpgradeOptions{})
	probation := u.await(t, protocol.OnProbation)
	awaitSockets(t, d, 2)
	s := status(t, d)
	if len(s.Generations) != 2 || s.Generations[0].State != protocol.Serving || s.Generations[1].State != protocol.Probation ||
		s.Generations[1].PID != probation.PID || s.Generations[1].Until.Before(time.Now()) || len(s.Generations[1].Groups) != 3 {
		t.Errorf("generations %+v, want the second on probation", s.Generations)
	}
	if _, err := client.At(d.PIDFile, probation.PID).Upgrade(within(t), client.UpgradeOptions{}, nil); !errors.As(err, &refused) || refused.Answer.Code != protocol.CodeNotServing {
		t.Errorf("upgrade of the generation on probation: %v", err)
	}
	if a, err := c.Rollback(within(t)); err != nil || a.PID != c.PID() {
		t.Errorf("rollback: %+v, %v", a, err)
	}
	_, err := u.result(t)
	var failed *client.UpgradeError
	if !errors.As(err, &failed) || failed.Stage != "probation" || failed.Failed != probation.PID || !strings.Contains(failed.Reason, "rolled back on request") {
		t.Errorf("upgrade: %v, want that it was rolled back", err)
	}
	awaitSockets(t, d, 1)

	u = beginUpgrade(t, c, client.UpgradeOptions{})
	probation = u.await(t, protocol.OnProbation)
	awaitSockets(t, d, 2)
	if err := syscall.Kill(probation.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := u.result(t); !errors.As(err, &failed) || failed.Failed != probation.PID {
		t.Errorf("upgrade: %v, want that pid %d failed", err, probation.PID)
	}
	awaitSockets(t, d, 1) // that of the killed one is removed
}
