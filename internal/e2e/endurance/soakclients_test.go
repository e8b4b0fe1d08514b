package endurance

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

const (
	// soakStay and soakAway are the most that the clients of a kind stay, and stay
	// away. The first is well below every drain_timeout of the soak, as a connection
	// that cannot move would be cut then.
	soakStay = 3 * time.Second
	soakAway = time.Second

	// soakThink is the most that a client waits before a request.
	soakThink = 20 * time.Millisecond
)

// soakServers is what the clients of a soak talk to.
type soakServers struct{ open, secure, app, line, state load.Target }

// soakKinds are the clients of a soak.
var soakKinds = []struct {
	name      string
	clients   int
	stays     bool // with the generation that it has connected to
	newClient func(at *soakServers) (load.Client, error)
}{
	{"POST, no pause", 2, false, func(at *soakServers) (load.Client, error) {
		return load.NewKeepAlive(at.open, load.KeepAliveOptions{})
	}},
	{"POST, pauses", 16, false, func(at *soakServers) (load.Client, error) {
		return load.NewKeepAlive(at.open, load.KeepAliveOptions{Think: soakThink})
	}},
	{"POST, in two parts", 4, false, func(at *soakServers) (load.Client, error) {
		return load.NewKeepAlive(at.open, load.KeepAliveOptions{Think: soakThink, Split: 5 * time.Millisecond})
	}},
	{"POST of 200 kB", 2, false, func(at *soakServers) (load.Client, error) {
		return load.NewKeepAlive(at.open, load.KeepAliveOptions{BodySize: 200_000, Think: soakThink})
	}},
	{"GET, new connection", 4, false, func(at *soakServers) (load.Client, error) {
		return load.NewGet(at.open, load.GetOptions{Think: soakThink})
	}},
	{"GET, slow (1 s)", 4, false, func(at *soakServers) (load.Client, error) {
		return load.NewSlow(at.open, load.SlowOptions{Think: soakThink})
	}},
	{"stream", 2, false, func(at *soakServers) (load.Client, error) {
		return load.NewStream(at.open, load.StreamOptions{Every: 50 * time.Millisecond, Think: soakThink})
	}},
	{"hijacked", 8, true, func(at *soakServers) (load.Client, error) {
		return load.NewHijack(at.open, load.HijackOptions{Think: soakThink})
	}},
	{"GET, TLS", 2, false, func(at *soakServers) (load.Client, error) {
		return load.NewGet(at.secure, load.GetOptions{Think: soakThink})
	}},
	{"POST, TLS", 6, false, func(at *soakServers) (load.Client, error) {
		return load.NewKeepAlive(at.secure, load.KeepAliveOptions{Think: soakThink})
	}},
	{"POST, HTTP/2", 4, false, func(at *soakServers) (load.Client, error) {
		return load.NewHTTP2(at.secure, load.HTTP2Options{Think: soakThink})
	}},
	{"POST, FastCGI", 4, false, func(at *soakServers) (load.Client, error) {
		return load.NewFastCGI(at.app, load.FastCGIOptions{Think: soakThink})
	}},
	{"POST, FastCGI keep_conn", 4, false, func(at *soakServers) (load.Client, error) {
		return load.NewFastCGI(at.app, load.FastCGIOptions{KeepConn: true, ReconnectOnEOF: true, Think: soakThink})
	}},
	{"lines", 4, true, func(at *soakServers) (load.Client, error) {
		return load.NewLines(at.line, load.LinesOptions{Think: soakThink})
	}},
	{"lines, new connection", 2, false, func(at *soakServers) (load.Client, error) {
		return load.NewLines(at.line, load.LinesOptions{OneShot: true, Think: soakThink})
	}},
	{"lines with state", 16, false, func(at *soakServers) (load.Client, error) {
		return load.NewLines(at.state, load.LinesOptions{Counted: true, Think: soakThink})
	}},
	{"halves with state", 4, false, func(at *soakServers) (load.Client, error) {
		return load.NewLines(at.state, load.LinesOptions{Counted: true, Think: soakThink, Split: 5 * time.Millisecond})
	}},
}

// soakCrowd is clients of every kind, which come, stay for a while, and go.
type soakCrowd struct {
	t    *testing.T
	rec  *load.Recorder
	seed uint64

	// door is held while clients come whose connections will stay with the generation
	// that they come to, and by who does what would cut those.
	door sync.Mutex

	staying atomic.Int32 // kinds with such clients that are there
	visits  uint64       // how often the crowd has come
	end     context.CancelFunc
	kinds   sync.WaitGroup
}

func newCrowd(t *testing.T, rec *load.Recorder, seed uint64) *soakCrowd {
	t.Helper()
	for _, kind := range soakKinds {
		rec.Expect(kind.name) // in this order
	}
	return &soakCrowd{t: t, rec: rec, seed: seed, end: func() {}}
}

// come lets clients of every kind begin to come and go.
func (c *soakCrowd) come(at *soakServers) {
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	for i := range soakKinds {
		c.visits++
		rng := rand.New(rand.NewPCG(c.seed, c.visits))
		c.kinds.Go(func() {
			for ctx.Err() == nil {
				c.visit(ctx, i, at, rng)
				pause(ctx, upTo(rng, soakAway))
			}
		})
	}
}

// leave returns when all have gone, and nobody comes any more.
func (c *soakCrowd) leave() {
	c.end()
	c.kinds.Wait()
}

// visit lets the clients of one kind come, stay for a while, and go.
func (c *soakCrowd) visit(ctx context.Context, i int, at *soakServers, rng *rand.Rand) {
	kind := soakKinds[i]
	l := load.New(c.rec)
	here := new(arrival)
	here.expected.Add(kind.clients)
	l.Add(kind.name, kind.clients, func() (load.Client, error) {
		client, err := kind.newClient(at)
		return &arriving{client, here.next(kind.clients)}, err
	})
	if kind.stays {
		c.door.Lock()
		c.staying.Add(1)
		defer c.staying.Add(-1)
	}
	l.Start(context.Background())
	if kind.stays {
		here.expected.Wait()
		c.door.Unlock()
	}
	pause(ctx, upTo(rng, soakStay))
	if err := l.Stop(); err != nil {
		c.t.Errorf("%s: %v", kind.name, err)
	}
}

// upTo returns a random time below limit.
func upTo(rng *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(limit)))
}

// pause is a client's, which ends when ctx does.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// awaitMovable waits until nobody is there whose connection stays. The caller holds
// the door.
func (c *soakCrowd) awaitMovable() {
	c.t.Helper()
	daemontest.Await(c.t, "end of the connections that do not move", func() bool { return c.staying.Load() == 0 })
}

// arrival knows when all clients of a kind have had their first answer.
type arrival struct {
	expected sync.WaitGroup
	came     atomic.Int32
}

// next returns what the next client calls then. Those that replace others, after a
// failure, are not waited for.
func (a *arrival) next(clients int) func() {
	if a.came.Add(1) > int32(clients) {
		return func() {}
	}
	return sync.OnceFunc(a.expected.Done)
}

// arriving is a client that tells of its first answer.
type arriving struct {
	load.Client
	arrived func()
}

// Do implements load.Client.
func (c *arriving) Do(ctx context.Context) (load.Reply, error) {
	defer c.arrived()
	return c.Client.Do(ctx)
}
