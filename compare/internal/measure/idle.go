//go:build linux

package measure

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
)

// spareFiles is what a process with many connections has open besides them.
const spareFiles = 200

// Most returns how many connections of n this process may have: as many as the limit
// of open files allows, in thousands. It raises the limit if it may.
func Most(n int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return n // and who opens them will see
	}
	want := uint64(max(n, 0) + spareFiles)
	if limit.Max < want {
		higher := unix.Rlimit{Cur: want, Max: want}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &higher) == nil {
			return n
		}
	}
	limit.Cur = limit.Max
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) // Go has done so at the start
	if limit.Cur >= want {
		return n
	}
	return int(limit.Cur-spareFiles) / 1000 * 1000 //nolint:gosec // it is less than n
}

// idlers are clients with a connection each.
type idlers struct {
	address string
	tls     *tls.Config
	conns   []net.Conn
}

// Idle upgrades gozd with n idle connections.
func Idle(ctx context.Context, e *tools.Env, n int, secure bool, set *report.Set) (err error) {
	d, err := tools.StartIdle(ctx, e, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	c, client := &idlers{address: d.HTTP, conns: make([]net.Conn, n)}, "http"
	if secure {
		c.address, c.tls, client = d.TLS, e.ClientTLS(), "https"
		c.tls.NextProtos = []string{"http/1.1"}
		c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(64) // handshakes are not what is measured
	}
	defer c.close()
	serving, err := d.Serving(ctx)
	if err != nil {
		return err
	}
	old, err := strconv.Atoi(serving)
	if err != nil {
		return err
	}
	before := &process{old, tools.Files(old), tools.Sockets(old)}
	if _, err := c.each(ctx, ""); err != nil {
		return fmt.Errorf("%d connections: %w", n, err)
	}
	return c.upgrade(ctx, d, before, client, set)
}

// process is what a process had before it had clients.
type process struct {
	pid     int
	files   int
	sockets map[string]bool
}

// upgrade upgrades the daemon whose process old was before.
func (c *idlers) upgrade(ctx context.Context, d *tools.Daemon, old *process, client string, set *report.Set) error {
	n := len(c.conns)
	key := func(metric string) report.Key {
		return report.Key{Tool: "gozd", Client: client, Metric: metric, X: n}
	}
	serving := strconv.Itoa(old.pid)
	set.Add(key(report.IdleMemory), megabytes(d.Memory()))
	clients := tools.Sockets(old.pid)
	maps.DeleteFunc(clients, func(name string, _ bool) bool { return old.sockets[name] })
	signal := time.Now()
	if err := d.Upgrade(ctx, serving); err != nil {
		return err
	}
	took, both, err := awaitMoved(ctx, d, old, clients, signal)
	if err != nil {
		return err
	}
	set.Add(key(report.MoveMS), milliseconds(took))
	set.Add(key(report.IdleBoth), megabytes(both))
	moved, err := c.each(ctx, serving)
	set.Add(key(report.Moved), float64(moved))
	return err
}

// few is how many descriptors the old process may have more than before it had clients
// when it is looked which they are, which takes a while for thousands.
const few = 50

// hasAny reports whether the process has a connection of the clients still.
func (p *process) hasAny(clients map[string]bool) bool {
	if tools.Files(p.pid) >= p.files+few {
		return true
	}
	for name := range tools.Sockets(p.pid) {
		if clients[name] {
			return true
		}
	}
	return false
}

// awaitMoved waits until the old process has no connection any more, and looks how
// much memory both take meanwhile.
func awaitMoved(ctx context.Context, d *tools.Daemon, old *process, clients map[string]bool, signal time.Time) (took time.Duration, memory int, err error) {
	for next := time.Now(); ; {
		if !old.hasAny(clients) {
			return time.Since(signal), max(memory, d.Memory()), nil
		}
		if time.Since(signal) > time.Minute || ctx.Err() != nil {
			return 0, 0, errors.New("connections do not leave the old process")
		}
		if time.Now().After(next) { // looking takes a millisecond or two
			memory = max(memory, d.Memory())
			next = time.Now().Add(20 * time.Millisecond)
		}
		time.Sleep(time.Millisecond)
	}
}

// workers is how many connections are used at the same time.
const workers = 8

// each does a request on every connection, which it opens the first time. It returns
// how many were answered by another process than before.
func (c *idlers) each(ctx context.Context, before string) (others int, err error) {
	var running sync.WaitGroup
	var moved atomic.Int64
	errs := make([]error, workers)
	for w := range workers {
		running.Go(func() {
			for i := w; i < len(c.conns) && errs[w] == nil && ctx.Err() == nil; i += workers {
				who, err := c.request(i)
				if who != before {
					moved.Add(1)
				}
				errs[w] = err
			}
		})
	}
	running.Wait()
	return int(moved.Load()), errors.Join(append(errs, ctx.Err())...)
}

func (c *idlers) request(i int) (who string, err error) {
	if c.conns[i] == nil {
		if c.conns[i], err = c.dial(i); err != nil {
			return "", err
		}
	}
	if err := c.conns[i].SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c.conns[i], "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c.conns[i], 512), nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", err
	}
	if resp.Close {
		return "", errors.New("the server closes a connection")
	}
	return resp.Header.Get(app.ServingHeader), nil
}

func (c *idlers) dial(i int) (net.Conn, error) {
	conn, err := net.Dial("tcp", tools.Nth(c.address, i))
	if err != nil || c.tls == nil {
		return conn, err
	}
	return tls.Client(conn, c.tls), nil
}

func (c *idlers) close() {
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.SetDeadline(time.Unix(1, 0)) // no goodbye to wait for
			_ = conn.Close()
		}
	}
}
