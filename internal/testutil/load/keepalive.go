package load

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"
)

// KeepAliveOptions are the options of [NewKeepAlive].
type KeepAliveOptions struct {
	// BodySize is the size of each request's body in bytes. If zero, 128; with
	// NoBody there is none.
	BodySize int

	// Think is the most time that the user waits, for a random time, before
	// each request, while the connection is idle. If zero, there is no wait.
	Think time.Duration

	// Split, if not zero, sends each request's header in two parts, that far
	// apart, as a network with loss does.
	Split time.Duration
}

// KeepAlive is the naive user of HTTP/1.1 keep-alive, who never looks at the
// socket before sending. The next connection is opened only after an answer
// that said "Connection: close"; whatever else ends a connection is a failure,
// though the server may have closed it while it was idle.
type KeepAlive struct {
	link
	opts    KeepAliveOptions
	payload *payload
	body    bytes.Buffer
}

// NewKeepAlive returns a client that does POST /echo over and over on one
// connection.
func NewKeepAlive(t Target, o KeepAliveOptions) (*KeepAlive, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("keepalive: %w", err)
	}
	p, err := newPayload(o.BodySize)
	if err != nil {
		return nil, fmt.Errorf("keepalive: %w", err)
	}
	l := link{kind: "keepalive", target: t, kept: true, think: o.Think, expected: o.Split}
	return &KeepAlive{link: l, opts: o, payload: p}, nil
}

// Do posts one body; see [Client].
func (c *KeepAlive) Do(ctx context.Context) (Reply, error) {
	last := false
	r, err := c.exchange(ctx, func(ctx context.Context, r *Reply) error {
		q := httpRequest{method: http.MethodPost, path: "/echo", body: c.payload.next()}
		return c.roundTrip(ctx, &q, c.opts.Split, r, func(resp *http.Response) error {
			last = resp.Close
			if err := c.readBody(resp, &c.body, len(q.body)); err != nil {
				return err
			}
			return same(c.body.Bytes(), q.body)
		})
	})
	if last {
		c.Close() // as the answer announced
	}
	return r, err
}
