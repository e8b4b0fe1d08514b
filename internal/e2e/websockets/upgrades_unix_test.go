//go:build unix

package websockets

import (
	"sync"
	"sync/atomic"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// doors are the libraries, with compression and without.
var doors = []string{"/gorilla", "/gorilla?compress", "/coder", "/coder?compress", "/xnet"}

// Clients send and get messages without a pause over upgrade after upgrade: no connection ends, and no message is lost, doubled, or out of order.
func TestUpgrades(t *testing.T) {
	upgrades, ahead := 15, 4
	if testing.Short() {
		upgrades = 3
	}
	d := start(t)
	stop := make(chan struct{})
	var talking sync.WaitGroup
	var clients []*client
	var answers atomic.Int64
	for _, group := range []string{"web", "secure"} {
		for _, door := range doors {
			c := dial(t, d, group, door)
			clients = append(clients, c)
			window := make(chan struct{}, ahead)
			talking.Go(func() {
				defer close(window)
				for {
					select {
					case <-stop:
						return
					case window <- struct{}{}:
					}
					if err := c.send(); err != nil {
						t.Error(err)
						return
					}
				}
			})
			talking.Go(func() {
				for range window {
					if err := c.receive(); err != nil {
						t.Error(err)
						c.Close()
						return
					}
					answers.Add(1)
				}
			})
		}
	}
	for range upgrades {
		before := answers.Load()
		daemontest.Await(t, "answers", func() bool { return t.Failed() || answers.Load() > before+int64(10*len(clients)) })
		if t.Failed() {
			break
		}
		daemontest.Upgrade(t, d)
	}
	// The last generation alone is left, since no WebSocket keeps another one.
	if !t.Failed() {
		if err := d.WaitAlive(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	talking.Wait()
	for _, c := range clients {
		t.Logf("%s: %d answers, %d ticks", c.door, c.answers, c.ticks)
		if c.generation != upgrades+1 && !t.Failed() {
			c.ask(t, upgrades+1)
		}
	}
}
