//go:build linux

package clients

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// kind is how the users of a kind behave.
type kind struct {
	users int
	pause time.Duration // the shortest and
	think time.Duration // the longest pause between two requests
	make  func(*Crowd) (load.Client, error)
}

// pause is short enough for a client that does nothing but ask, and long enough that
// two processors are not busy with the clients alone.
const pause = 3 * time.Millisecond

// flight is how long before its request rtt10 has looked at the connection.
const flight = 10 * time.Millisecond

var kinds = map[string]kind{
	tools.New:      {4, pause, pause, func(c *Crowd) (load.Client, error) { return &http1{address: c.http}, nil }},
	tools.Busy:     {8, pause, pause, func(c *Crowd) (load.Client, error) { return &http1{address: c.http, keep: true}, nil }},
	tools.Naive:    {32, 0, 200 * time.Millisecond, func(c *Crowd) (load.Client, error) { return &http1{address: c.http, keep: true}, nil }},
	tools.FINCheck: {32, 0, 200 * time.Millisecond, func(c *Crowd) (load.Client, error) { return &http1{address: c.http, keep: true, look: true}, nil }},
	tools.RTT10: {32, 0, 200 * time.Millisecond, func(c *Crowd) (load.Client, error) {
		return &http1{address: c.http, keep: true, look: true, early: flight}, nil
	}},
	tools.H2:       {16, pause, 20 * time.Millisecond, newHTTP2},
	tools.TLS:      {16, 0, 100 * time.Millisecond, newTLS},
	tools.FCGI:     {8, pause, pause, func(c *Crowd) (load.Client, error) { return &http1{address: c.http, keep: true}, nil }},
	tools.FCGIIdle: {32, 0, 200 * time.Millisecond, func(c *Crowd) (load.Client, error) { return &http1{address: c.http, keep: true}, nil }},
}

// Users returns how many users a kind has.
func Users(name string) int { return kinds[name].users }

// Sample is one exchange.
type Sample struct {
	Kind        string
	Begun       time.Time
	Took        time.Duration
	Reconnected bool // a kept connection had ended as the protocol allows
	Err         error
}

// Crowd are the users of all kinds that a tool has. Its methods are for one goroutine.
type Crowd struct {
	http  string
	https string
	tls   *tls.Config
	pools []*load.HTTP2Pool
	next  int

	resumed, handshakes atomic.Int64

	stop    chan struct{}
	running sync.WaitGroup
	mu      sync.Mutex // guards samples
	samples []Sample
	cancel  context.CancelFunc
}

// Start lets the users of the named kinds begin. The addresses are those of the ports
// without and with TLS.
func Start(ctx context.Context, http, https string, secure *tls.Config, names []string) (*Crowd, error) {
	c := &Crowd{http: http, https: https, tls: secure, stop: make(chan struct{})}
	ctx, c.cancel = context.WithCancel(ctx)
	for range 2 * min(1, len(https)) { // without TLS there is no HTTP/2
		pool, err := load.NewHTTP2Pool(load.Target{Network: "tcp", Address: https, TLS: secure})
		if err != nil {
			return nil, err
		}
		c.pools = append(c.pools, pool)
	}
	for _, name := range names {
		k, ok := kinds[name]
		if !ok {
			return nil, fmt.Errorf("no clients of kind %q", name)
		}
		for range k.users {
			client, err := k.make(c)
			if err != nil {
				return nil, err
			}
			c.running.Go(func() { c.use(ctx, name, k, client) })
		}
	}
	return c, nil
}

func newTLS(c *Crowd) (load.Client, error) {
	config := c.tls.Clone()
	config.NextProtos = []string{"http/1.1"}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return &http1{address: c.https, tls: config, keep: true, look: true, resumed: func(did bool) {
		c.handshakes.Add(1)
		if did {
			c.resumed.Add(1)
		}
	}}, nil
}

// newHTTP2 has the users share two connections.
func newHTTP2(c *Crowd) (load.Client, error) {
	c.next++
	return load.NewHTTP2(load.Target{}, load.HTTP2Options{Pool: c.pools[c.next%len(c.pools)]})
}

// use is the life of one user.
func (c *Crowd) use(ctx context.Context, name string, k kind, client load.Client) {
	defer func() { _ = client.Close() }()
	var own []Sample
	for c.wait(k.pause + rand.N(k.think-k.pause+1)) { //nolint:gosec // nobody has an interest in guessing it
		begun := time.Now()
		r, err := c.do(ctx, client)
		if errors.Is(err, load.ErrNotSent) {
			break
		}
		own = append(own, Sample{name, begun, r.Took, r.Reconnected, err})
		if err != nil && !c.wait(10*time.Millisecond) { // or a server that is down is measured by how fast it refuses
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples = append(c.samples, own...)
}

func (c *Crowd) do(ctx context.Context, client load.Client) (load.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+flight)
	defer cancel()
	return client.Do(ctx)
}

func (c *Crowd) wait(d time.Duration) bool {
	select {
	case <-c.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// Stop ends the users after their exchanges, and returns what they have met.
func (c *Crowd) Stop() []Sample {
	close(c.stop)
	c.running.Wait()
	c.cancel()
	for _, p := range c.pools {
		_ = p.Close()
	}
	return c.samples
}

// Resumed returns how many TLS handshakes there were after each user's first, and
// how many of them resumed a session.
func (c *Crowd) Resumed() (handshakes, resumed int) {
	return int(c.handshakes.Load()), int(c.resumed.Load())
}
