package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"
)

// HTTP2Options are the options of [NewHTTP2].
type HTTP2Options struct {
	// BodySize is the size of each request's body in bytes. If zero, 128.
	BodySize int

	// Think is the most time that the user waits, for a random time, before
	// each request. If zero, there is no wait.
	Think time.Duration

	// Pool, if not nil, is the connection that the client shares, so that its
	// requests are streams beside those of other users; the target given
	// beside it is not used. If nil, the client has a pool of its own.
	Pool *HTTP2Pool
}

// HTTP2Pool is one HTTP/2 connection for several users; a new one when the
// server has said goodbye (GOAWAY) to the last. Its methods may be called by
// several goroutines at once.
type HTTP2Pool struct {
	target    Target
	transport *http.Transport

	mu     sync.Mutex // guards the rest
	conns  map[*pooledConn]bool
	opened int
	used   int  // those on which a request was sent
	broken bool // a request has failed since the last connection was opened
}

// NewHTTP2Pool returns a pool without a connection yet. The target must have
// TLS.
func NewHTTP2Pool(t Target) (*HTTP2Pool, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("http2: %w", err)
	}
	if t.TLS == nil {
		return nil, errors.New("http2: the target has no TLS")
	}
	p := &HTTP2Pool{target: t, conns: make(map[*pooledConn]bool)}
	only := new(http.Protocols)
	only.SetHTTP2(true) // ALPN offers nothing else
	p.transport = &http.Transport{
		DialContext:        p.dial,
		TLSClientConfig:    t.tlsConfig("h2"),
		Protocols:          only,
		ForceAttemptHTTP2:  true,
		DisableCompression: true,

		TLSHandshakeTimeout: DefaultTimeout, // a dial outlives its request
	}
	return p, nil
}

// Connections returns how many connections the pool has opened. Users who come
// all at once, before there is a connection, make the transport dial for each;
// it then uses one of these connections and closes the others.
func (p *HTTP2Pool) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Close closes the connections, also those with requests in flight. The pool
// can be used again and then opens a new one.
func (p *HTTP2Pool) Close() error {
	p.mu.Lock()
	conns := slices.Collect(maps.Keys(p.conns))
	p.mu.Unlock()
	for _, c := range conns { // without the lock, which their Close takes
		c.Close()
	}
	p.transport.CloseIdleConnections()
	return nil
}

// failed notes that a request failed, so that the next connection is not taken
// for a planned one.
func (p *HTTP2Pool) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = true
}

// first notes the first request on a connection, and reports whether that one
// follows another that ended as the protocol allows.
func (p *HTTP2Pool) first() (planned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	planned = p.used > 0 && !p.broken
	p.used++
	p.broken = false
	return planned
}

func (p *HTTP2Pool) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	d := net.Dialer{Timeout: DefaultTimeout}
	conn, err := d.DialContext(ctx, p.target.Network, p.target.Address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	c := &pooledConn{Conn: conn, pool: p}
	p.conns[c] = true
	return c, nil
}

// pooledConn is a connection that its pool can close.
type pooledConn struct {
	net.Conn
	pool *HTTP2Pool
}

// Close closes the connection, as the transport does when it is done with it.
func (c *pooledConn) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.conns, c)
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

// HTTP2 is the user who does POST /echo over HTTP/2. The transport is that of
// net/http, which sees a GOAWAY as soon as it comes and then opens the next
// connection. It cannot replay a request: bodies come without GetBody, POST is
// not idempotent, and so it gives up on whatever it has begun to send.
type HTTP2 struct {
	pool    *HTTP2Pool
	own     bool // the pool is nobody else's
	think   time.Duration
	payload *payload
	body    bytes.Buffer
	n       int
}

// NewHTTP2 returns a client that does POST /echo over HTTP/2.
func NewHTTP2(t Target, o HTTP2Options) (*HTTP2, error) {
	body, err := newPayload(o.BodySize)
	if err != nil {
		return nil, fmt.Errorf("http2: %w", err)
	}
	c := &HTTP2{pool: o.Pool, think: o.Think, payload: body}
	if c.pool == nil {
		c.own = true
		c.pool, err = NewHTTP2Pool(t)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes the connection, unless it is shared: then the pool does.
func (c *HTTP2) Close() error {
	if !c.own {
		return nil
	}
	return c.pool.Close()
}

// Do posts one body; see [Client].
func (c *HTTP2) Do(ctx context.Context) (Reply, error) {
	if err := think(ctx, c.think); err != nil {
		return Reply{}, fmt.Errorf("http2: %w", err)
	}
	ctx, cancel := bound(ctx, 0)
	defer cancel()

	var r Reply
	start := time.Now()
	c.n++
	err := c.post(httptrace.WithClientTrace(ctx, c.trace(&r)), &r)
	r.Took = time.Since(start)
	if err != nil {
		c.pool.failed()
		c.Close()
		return r, fmt.Errorf("http2: %w; request %d of user %d", err, c.n, c.payload.user)
	}
	return r, nil
}

// trace notes which connection the request is sent on.
func (c *HTTP2) trace(r *Reply) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			r.Dialed, r.Reconnected = true, c.pool.first()
		}
	}}
}

func (c *HTTP2) post(ctx context.Context, r *Reply) error {
	sent := c.payload.next()
	// The anonymous struct hides from NewRequest that the body could be read
	// twice, or it would set GetBody.
	body := struct{ io.Reader }{bytes.NewReader(sent)}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.pool.target.host()+"/echo", body)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(sent))
	resp, err := c.pool.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return c.check(resp, sent, r)
}

func (c *HTTP2) check(resp *http.Response, sent []byte, r *Reply) error {
	if resp.ProtoMajor != 2 {
		return fmt.Errorf("answered by %s, want HTTP/2", resp.Proto)
	}
	if err := checkHead(resp, http.StatusOK, r); err != nil {
		return err
	}
	c.body.Reset()
	if n, err := c.body.ReadFrom(io.LimitReader(resp.Body, int64(len(sent))+1)); err != nil {
		return fmt.Errorf("read body: %w after %d bytes", err, n)
	}
	return same(c.body.Bytes(), sent)
}
