package programs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// counter is a client of the program bolt. It never retries, and takes a new
// connection only when the last answer says so.
type counter struct {
	to    load.Target
	conn  net.Conn
	lines *bufio.Reader
	dials int
}

// do sends a request with a short body, and returns the count and the generation in the
// answer. between, if non-nil, is called when half of the request is sent.
func (c *counter) do(method string, between func()) (n, generation int, err error) {
	if err := c.dial(); err != nil {
		return 0, 0, err
	}
	if err := c.send(method, between); err != nil {
		return 0, 0, err
	}
	resp, err := http.ReadResponse(c.lines, nil)
	if err != nil {
		return 0, 0, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, 0, err
	}
	if resp.Close {
		c.close()
	}
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("status %s: %s", resp.Status, body)
	}
	if n, err = strconv.Atoi(strings.TrimSpace(string(body))); err != nil {
		return 0, 0, err
	}
	generation, err = strconv.Atoi(resp.Header.Get("X-Gozd-Generation"))
	return n, generation, err
}

func (c *counter) dial() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout(c.to.Network, c.to.Address, 10*time.Second)
	if err != nil {
		return err
	}
	c.conn, c.lines = conn, bufio.NewReader(conn)
	c.dials++
	return nil
}

func (c *counter) send(method string, between func()) error {
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	head := method + " /count/apples HTTP/1.1\r\nHost: bolt\r\n"
	tail := "Content-Length: 4\r\n\r\nbody"
	if between == nil {
		_, err := io.WriteString(c.conn, head+tail)
		return err
	}
	if _, err := io.WriteString(c.conn, head); err != nil {
		return err
	}
	between()
	_, err := io.WriteString(c.conn, tail)
	return err
}

func (c *counter) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// counters are clients that count at the same time.
type counters struct {
	served []atomic.Int64 // by generation
	slow   atomic.Int64   // nanoseconds of the slowest request
	stop   chan struct{}
	wg     sync.WaitGroup
}

func startCounters(t *testing.T, to load.Target, clients, generations int) *counters {
	t.Helper()
	all := &counters{served: make([]atomic.Int64, generations+1), stop: make(chan struct{})}
	for range clients {
		all.wg.Go(func() { all.run(t, &counter{to: to}) })
	}
	return all
}

// run counts until it is stopped or a request fails.
func (all *counters) run(t *testing.T, c *counter) {
	t.Helper()
	defer c.close()
	last := 0
	for {
		select {
		case <-all.stop:
			if c.dials != 1 {
				t.Errorf("a client has used %d connections, want 1", c.dials)
			}
			return
		default:
		}
		start := time.Now()
		n, generation, err := c.do(http.MethodPost, nil)
		took := int64(time.Since(start))
		for slow := all.slow.Load(); took > slow && !all.slow.CompareAndSwap(slow, took); slow = all.slow.Load() {
		}
		if err != nil || n <= last {
			t.Errorf("a request after the one that counted to %d: %d, %v", last, n, err)
			return
		}
		last = n
		all.served[generation].Add(1)
	}
}

// await waits until a generation has counted often enough.
func (all *counters) await(t *testing.T, generation int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for all.served[generation].Load() < 10 && !t.Failed() {
		if time.Now().After(deadline) {
			t.Fatalf("generation %d has counted %d times in 30 s", generation, all.served[generation].Load())
		}
		time.Sleep(time.Millisecond)
	}
}

// finish ends the clients, and returns how often they have counted.
func (all *counters) finish() (sum int64) {
	close(all.stop)
	all.wg.Wait()
	for i := range all.served {
		sum += all.served[i].Load()
	}
	return sum
}

func startBolt(t *testing.T) *daemon.Daemon {
	t.Helper()
	d := daemontest.Prepare(t, binaries.Bolt(t), "[web]\nmode http\nlisten 127.0.0.1:0\n")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBoltCountsOverUpgrades upgrades a program whose file one process can have
// open at a time: no request fails, and none is counted twice or not at all.
func TestBoltCountsOverUpgrades(t *testing.T) {
	const upgrades, clients = 8, 8
	d := startBolt(t)
	to := daemontest.Target(t, d, "web")
	all := startCounters(t, to, clients, upgrades+1)
	for generation := 1; generation <= upgrades; generation++ {
		all.await(t, generation)
		daemontest.Upgrade(t, d)
	}
	all.await(t, upgrades+1)
	sum := all.finish()
	c := &counter{to: to}
	defer c.close()
	if n, _, err := c.do(http.MethodGet, nil); err != nil || int64(n) != sum {
		t.Errorf("the count is %d, %v, after %d requests", n, err, sum)
	}
	t.Logf("%d requests, the slowest took %v", sum, time.Duration(all.slow.Load()))
}

// TestBoltStorm does not wait until a generation has the file before it is replaced.
func TestBoltStorm(t *testing.T) {
	const upgrades, clients = 10, 8
	d := startBolt(t)
	to := daemontest.Target(t, d, "web")
	all := startCounters(t, to, clients, upgrades+1)
	all.await(t, 1)
	for range upgrades {
		daemontest.Upgrade(t, d)
	}
	all.await(t, upgrades+1)
	sum := all.finish()
	c := &counter{to: to}
	defer c.close()
	if n, _, err := c.do(http.MethodGet, nil); err != nil || int64(n) != sum {
		t.Errorf("the count is %d, %v, after %d requests", n, err, sum)
	}
}

// TestBoltFileMovesWhileRequestsArrive keeps the first generation alive by a
// request of which one half has arrived: the file is the second one's
// nevertheless, and the request is counted there.
func TestBoltFileMovesWhileRequestsArrive(t *testing.T) {
	d := startBolt(t)
	to := daemontest.Target(t, d, "web")
	early, late := &counter{to: to}, &counter{to: to}
	defer early.close()
	defer late.close()
	count, _, err := early.do(http.MethodPost, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, generation, err := early.do(http.MethodPost, func() {
		daemontest.Upgrade(t, d)
		for generation := 1; generation == 1 && !t.Failed(); { // it may accept for a moment yet
			if count, generation, err = late.do(http.MethodPost, nil); err != nil {
				t.Error(err)
			}
		}
		if alive := d.Alive(); len(alive) != 2 {
			t.Errorf("%d generations live, want 2", len(alive))
		}
	})
	if err != nil || n != count+1 || generation != 2 {
		t.Errorf("the request in two halves: %d, generation %d, %v, want %d by generation 2", n, generation, err, count+1)
	}
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
