//go:build unix

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// What the daemon says is believed only as far as its files bear it out: its user can have it say anything.
func TestUpgradeThatIsALie(t *testing.T) {
	const dead = `"pid":4194304,"start_time":1,"generation":4}` + "\n"
	lost := func(err error) bool {
		var failed *client.UpgradeError
		return errors.Is(err, process.ErrNotRunning) || errors.As(err, &failed) && !failed.Serves() && failed.Remains() == "nobody serves"
	}
	again := func(err error) bool {
		var failed *client.UpgradeError
		return errors.As(err, &failed) && failed.Serves() && failed.Remains() == fmt.Sprintf("pid %d serves again", os.Getpid())
	}
	unknown := func(err error) bool { return errors.Is(err, client.ErrUnknownOutcome) }
	for _, test := range []struct {
		name, stream string
		opts         client.UpgradeOptions
		ends         bool // the daemon, before it answers
		is           func(error) bool
	}{
		{"served", `{"event":"served",` + dead, client.UpgradeOptions{NoDrain: true}, true, lost},
		{"served, and the old one serves", `{"event":"served",` + dead, client.UpgradeOptions{NoDrain: true}, false, again},
		{"drained", `{"event":"served",` + dead + `{"event":"drained"}`, client.UpgradeOptions{}, true, lost},
		{"drained, and the old one serves", `{"event":"served",` + dead + `{"event":"drained"}`, client.UpgradeOptions{}, false, again},
		{"served, and named by no file", fmt.Sprintf(`{"event":"served","generation":4,"pid":%d}`, os.Getppid()), client.UpgradeOptions{NoDrain: true}, false, unknown},
		{"served by itself", fmt.Sprintf(`{"event":"served","generation":4,"pid":%d}`, os.Getpid()), client.UpgradeOptions{NoDrain: true}, false, unknown},
		{"failed", `{"event":"failed","stage":"start",` + dead, client.UpgradeOptions{}, true, lost},
		{"passed", `{"event":"passed",` + dead, client.DryRunOptions, true, lost},
		{"served in a dry run", `{"event":"served",` + dead + `{"event":"drained"}`, client.DryRunOptions, true, func(err error) bool { return errors.Is(err, client.ErrProtocol) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var pidfile string
			var c *client.Client
			c, pidfile = serving(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.ends {
					if err := process.RemoveFiles(pidfile); err != nil {
						t.Error(err)
					}
				}
				_, _ = fmt.Fprint(w, test.stream)
			})
			if up, err := c.Upgrade(within(t), test.opts, nil); up != nil || !test.is(err) {
				t.Errorf("Upgrade = %+v, %v", up, err)
			}
		})
	}
}

// That the processes cannot be seen is no excuse of a daemon whose own process was seen: its user can have the files name none as soon as
// somebody has connected.
func TestUpgradeOfOneThatHidesAfterTheDial(t *testing.T) {
	c, pidfile := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"event":"served","pid":4194304,"start_time":1,"generation":4}`+"\n")
	})
	if err := process.WriteState(pidfile, &process.State{PID: 4194304, StartTime: 1, Generation: 4}); err != nil {
		t.Fatal(err)
	}
	if up, err := c.Upgrade(within(t), client.UpgradeOptions{NoDrain: true}, nil); up != nil || !errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("Upgrade = %+v, %v, want ErrUnknownOutcome", up, err)
	}
}

// A dry run has not passed where the daemon's files name no process by then.
func TestDryRunAfterWhichNobodyIsNamed(t *testing.T) {
	var c *client.Client
	var pidfile string
	c, pidfile = serving(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := process.WriteState(pidfile, &process.State{PID: 4194304, StartTime: 1, Generation: 3}); err != nil {
			t.Error(err)
		}
		_, _ = fmt.Fprint(w, `{"event":"passed","pid":4194304,"start_time":1,"generation":4}`)
	})
	if e, err := c.DryRun(within(t), nil); !errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("DryRun = %+v, %v, want ErrUnknownOutcome", e, err)
	}
}

// Who answers is known: a daemon that says that it is another is not believed, and nobody waits for that one's end.
func TestAnswerThatNamesAnother(t *testing.T) {
	c, _ := serving(t, answering(http.StatusOK, `{"pid":1,"generation":99}`))
	a, err := c.Stop(within(t))
	if err != nil || a.PID != os.Getpid() || a.Generation != 3 {
		t.Errorf("Stop = %+v, %v, want this process, of generation 3", a, err)
	}
}

// A daemon that says that it has been replaced, and changes no file, holds up nobody for longer than he wants to wait.
func TestUpgradeThatIsOnlySaid(t *testing.T) {
	t.Parallel()
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	c, _ := serving(t, answering(http.StatusOK, fmt.Sprintf(`{"event":"served","pid":%d,"start_time":%d,"generation":4}`+"\n", os.Getpid(), start)))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	asked := time.Now()
	up, err := c.Upgrade(ctx, client.UpgradeOptions{NoDrain: true}, nil)
	if up != nil || !errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("Upgrade = %+v, %v", up, err)
	}
	if took := time.Since(asked); took >= client.SettleWait {
		t.Errorf("it took %v", took)
	}
}
