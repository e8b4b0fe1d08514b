package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// HTTP2Options are the options of [NewHTTP2].
type HTTP2Options struct {
	// BodySize is the size of each request's body in bytes. If zero, 128; with
	// NoBody there is none.
	BodySize int

	// Think is the most time that the user waits, for a random time, before
	// each request. If zero, there is no wait.
	Think time.Duration

	// Pool, if not nil, is the connection that the client shares, so that its
	// requests are streams beside those of other users; the target given
	// beside it is not used. If nil, the client has a pool of its own.
	Pool *HTTP2Pool
}

// HTTP2 is the user who does POST /echo over HTTP/2, on a connection that cannot
// replay a request: whatever has been begun to be sent is given up when it fails.
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
	err := c.post(ctx, &r)
	r.Took = time.Since(start)
	if err != nil {
		c.pool.failed()
		_ = c.Close()
		return r, fmt.Errorf("http2: %w; request %d of user %d", err, c.n, c.payload.user)
	}
	return r, nil
}

func (c *HTTP2) post(ctx context.Context, r *Reply) error {
	sent := c.payload.next()
	resp, err := c.send(ctx, sent, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return c.check(resp, sent, r)
}

// send sends the request once. A connection that becomes unusable between the
// look at it and the first frame has carried nothing of the request: then it goes
// to the next connection, and still for the first time.
func (c *HTTP2) send(ctx context.Context, body []byte, r *Reply) (*http.Response, error) {
	for {
		conn, err := c.pool.acquire(ctx, r)
		if err != nil {
			return nil, err
		}
		// The anonymous struct hides that the body could be read twice.
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.pool.target.host()+"/echo",
			struct{ io.Reader }{bytes.NewReader(body)})
		if err != nil {
			return nil, err
		}
		req.ContentLength = int64(len(body))
		resp, err := conn.RoundTrip(req)
		if err == nil || err.Error() != errNothingSent {
			return resp, err
		}
	}
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
