//go:build unix

package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// reloading is a daemon that allows an upgrade to take a time, and says an event again and again: n times, at an interval.
// Then it says that a new generation serves. asked says whether it has been asked.
func reloading(t *testing.T, allowed, interval time.Duration, n int) (pidfile string, asked *atomic.Bool) {
	t.Helper()
	pidfile, asked = pidfileIn(t), new(atomic.Bool)
	asDaemon(t, pidfile, process.State{Control: true, Since: time.Now(), Generation: 3, UpgradeWait: process.Duration(allowed)})
	serve(t, pidfile, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(true)
		if r.URL.Query().Get(protocol.QueryDrain) != protocol.No {
			t.Errorf("it is asked %s, and not only until the next generation serves", r.URL)
		}
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for range n {
			_, _ = fmt.Fprintln(w, `{"event":"waiting"}`)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
		serves(t, pidfile, 4)
		_, _ = fmt.Fprintf(w, `{"event":"served","generation":4,"pid":%d}`, os.Getppid())
	})
	return pidfile, asked
}

// An upgrade may take longer than it is allowed to, as long as something is heard of it.
func TestReload(t *testing.T) {
	const allowed = 500 * time.Millisecond
	told := 0
	pidfile, _ := reloading(t, allowed, allowed/10, 15)
	up, err := client.Reload(within(t), pidfile, func(protocol.Event) { told++ })
	if err != nil || up.Served.PID != os.Getppid() || up.OldGeneration != 3 || told != 16 {
		t.Errorf("Reload = %+v, %v after %d events", up, err, told)
	}
}

// Neither silence nor events without end keep whoever asks.
func TestReloadEnds(t *testing.T) {
	const forever = 1 << 30
	for name, test := range map[string]struct{ allowed, interval time.Duration }{
		"silence": {100 * time.Millisecond, time.Hour},
		"events":  {50 * time.Millisecond, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			pidfile, asked := reloading(t, test.allowed, test.interval, forever)
			up, err := client.Reload(within(t), pidfile, nil)
			if asked := asked.Load(); up != nil || err == nil || errors.Is(err, client.ErrUnknownOutcome) != asked {
				t.Errorf("Reload = %+v, %v, want ErrUnknownOutcome: %t", up, err, asked)
			}
			if took := time.Since(began); took < test.allowed || took > patience/2 {
				t.Errorf("it took %v, where an upgrade may take %v", took, test.allowed)
			}
		})
	}
}

func TestReloadOfNobody(t *testing.T) {
	if _, err := client.Reload(within(t), pidfileIn(t), nil); !errors.Is(err, process.ErrNotRunning) {
		t.Errorf("Reload = %v, want ErrNotRunning", err)
	}
}
