package faults

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// matrixRhythm is the time from one request of a client to its next.
const matrixRhythm = 5 * time.Millisecond

// exchange is a request and what became of it.
type exchange struct {
	kind       string
	port       int // of the client's connection, which says whose it was; 0 if there was none
	begun, end time.Time
	sent       time.Time // when all of it was; zero if it never was
	err        error
}

// crew are clients that never retry and that know by which connection each request
// went. They cannot be those of the package load, which keeps that to itself.
type crew struct {
	ctx  context.Context // ends when they leave
	stop context.CancelFunc
	done sync.WaitGroup

	mu        sync.Mutex // guards what follows
	exchanges []exchange
}

// newCrew begins to ask, with new connections and with kept ones, those that move and
// those that do not.
func newCrew(t *testing.T, web, plain load.Target) *crew {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crew{ctx: ctx, stop: cancel}
	for group, to := range map[string]load.Target{"web": web, "plain": plain} {
		for _, keep := range []bool{false, true, true} {
			c.join(&sailor{group: group, to: to.Address, keep: keep})
		}
	}
	t.Cleanup(c.leave)
	return c
}

// join has one more client ask.
func (c *crew) join(s *sailor) {
	c.done.Go(func() { c.sail(s) })
}

// has reports whether a client of a kind has had a connection from one of the ports.
func (c *crew) has(kind string, ports map[int]bool) bool {
	for _, e := range c.all() {
		if e.kind == kind && ports[e.port] {
			return true
		}
	}
	return false
}

// leave ends all clients after the request that they are at.
func (c *crew) leave() {
	c.stop()
	c.done.Wait()
}

func (c *crew) sail(s *sailor) {
	tick := time.NewTicker(matrixRhythm)
	defer tick.Stop()
	defer s.hangUp()
	for n := 0; ; n++ {
		e := s.ask(fmt.Sprintf("request %d", n))
		c.mu.Lock()
		c.exchanges = append(c.exchanges, e)
		c.mu.Unlock()
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// all returns what has been done so far.
func (c *crew) all() []exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]exchange(nil), c.exchanges...)
}

// awaitMore waits until n more requests have been answered.
func (c *crew) awaitMore(t *testing.T, n int) {
	t.Helper()
	want := c.answered() + n
	for deadline := time.Now().Add(cellPatience); c.answered() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("fewer than %d requests have been answered in %v", n, cellPatience)
		}
	}
}

func (c *crew) answered() int {
	n := 0
	for _, e := range c.all() {
		if e.err == nil {
			n++
		}
	}
	return n
}

// sailor is one client.
type sailor struct {
	group, to string
	keep      bool // the connection
	conn      net.Conn
	r         *bufio.Reader
}

// ask does one request: POST on a kept connection, GET on a new one.
func (s *sailor) ask(body string) exchange {
	e := exchange{kind: s.kind(), begun: time.Now()}
	again := false
	if e.err = s.connect(); e.err == nil {
		e.port = s.conn.LocalAddr().(*net.TCPAddr).Port
		if e.err = s.send(body); e.err == nil {
			e.sent = time.Now()
			again, e.err = s.receive(body)
		}
	}
	if !again {
		s.hangUp()
	}
	e.end = time.Now()
	return e
}

func (s *sailor) connect() error {
	if s.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", s.to, cellPatience)
	if err != nil {
		return err
	}
	s.conn, s.r = conn, bufio.NewReader(conn)
	return nil
}

func (s *sailor) send(body string) error {
	_ = s.conn.SetDeadline(time.Now().Add(cellPatience))
	request := "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	if s.keep {
		request = fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	_, err := io.WriteString(s.conn, request)
	return err
}

// receive reads the answer, and reports whether the connection can be used again.
func (s *sailor) receive(body string) (again bool, err error) {
	resp, err := http.ReadResponse(s.r, nil) // neither method changes how an answer is read
	if err != nil {
		return false, err
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK || s.keep && string(got) != body || !s.keep && !strings.HasPrefix(string(got), "{") {
		return false, fmt.Errorf("status %d, body %q", resp.StatusCode, got)
	}
	return s.keep && !resp.Close, nil
}

// kind says which client it is.
func (s *sailor) kind() string {
	if !s.keep {
		return s.group + ", new connection"
	}
	return s.group + ", keep-alive"
}

func (s *sailor) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn, s.r = nil, nil
	}
}
