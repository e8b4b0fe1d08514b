package load

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// PipelinedOptions are the options of [NewPipelined].
type PipelinedOptions struct {
	// Pause is the most time, a random one, between the two parts in which each
	// batch of requests is sent. If zero, a batch is sent whole.
	Pause time.Duration

	// Think is the most time that the user waits, for a random time, before
	// each batch. If zero, there is no wait.
	Think time.Duration
}

// Pipelined is the user of HTTP/1.1 who sends several requests on a connection
// without waiting for answers in between, in two parts that are cut at every position in
// turn, and every other time at an end of line. The requests with a body have
// one that looks like another request. Each answer has to be that of its request, in the order of these.
// The next connection is opened only after a batch whose last answer said
// "Connection: close".
type Pipelined struct {
	link
	pause time.Duration
	user  int64
	n     int // batches so far
	body  bytes.Buffer
}

// NewPipelined returns a client that does three requests an exchange.
func NewPipelined(t Target, o PipelinedOptions) (*Pipelined, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("pipelined: %w", err)
	}
	l := link{kind: "pipelined", target: t, kept: true, think: o.Think, expected: o.Pause}
	return &Pipelined{link: l, pause: o.Pause, user: users.Add(1)}, nil
}

// asked is a request, and the body of its answer.
type asked struct {
	httpRequest
	want []byte
}

// next returns the requests of the next batch.
func (c *Pipelined) next() []asked {
	c.n++
	post := func(part string) asked {
		marker := fmt.Sprintf("%d %d %s", c.user, c.n, part)
		body := fmt.Appendf(nil, "POST /echo HTTP/1.1\r\nHost: inner\r\nContent-Length: %d\r\n\r\n%s", len(marker), marker)
		return asked{httpRequest{method: http.MethodPost, path: "/echo", body: body}, body}
	}
	lines := 1 + c.n%5
	var want []byte
	for i := range lines {
		want = fmt.Appendf(want, "line %d of %d\n", i+1, lines)
	}
	get := asked{httpRequest{method: http.MethodGet, path: fmt.Sprintf("/stream?n=%d&every=0s", lines)}, want}
	return []asked{post("first"), get, post("last")}
}

// Do sends one batch; see [Client].
func (c *Pipelined) Do(ctx context.Context) (Reply, error) {
	last := false
	r, err := c.exchange(ctx, func(ctx context.Context, r *Reply) error {
		batch := c.next()
		var wire []byte
		for _, q := range batch {
			wire = append(append(wire, q.head(nil, c.target.host())...), q.body...)
		}
		at := len(wire)
		if c.pause > 0 {
			at = c.cut(wire)
		}
		if err := c.sendInParts(ctx, wire, at); err != nil {
			return err
		}
		for i, q := range batch {
			if last {
				return fmt.Errorf("answer %d of %d says Connection: close; cut behind %q", i, len(batch), before(wire, at))
			}
			err := c.answer(q.method, r, func(resp *http.Response) error {
				last = resp.Close
				if err := c.readBody(resp, &c.body, len(q.want)); err != nil {
					return err
				}
				return same(c.body.Bytes(), q.want)
			})
			if err != nil {
				return fmt.Errorf("answer %d of %d: %w; cut behind %q", i+1, len(batch), err, before(wire, at))
			}
		}
		return nil
	})
	if last {
		c.Close() // as the answer announced
	}
	return r, err
}

// sendInParts sends wire with a pause at a position.
func (c *Pipelined) sendInParts(ctx context.Context, wire []byte, at int) error {
	if at < len(wire) {
		if err := c.write(wire[:at]); err != nil {
			return err
		}
		if err := wait(ctx, rand.N(c.pause)); err != nil {
			return fmt.Errorf("send request: %w", err)
		}
		wire = wire[at:]
	}
	return c.write(wire)
}

// cut returns where to pause: users begin at different positions.
func (c *Pipelined) cut(wire []byte) int {
	turn := int(c.user)*37 + c.n/2
	if c.n%2 == 0 {
		return 1 + turn%(len(wire)-1)
	}
	lines := bytes.SplitAfter(wire, []byte("\n"))
	at := 0
	for _, line := range lines[:1+turn%(len(lines)-1)] {
		at += len(line)
	}
	return at
}

// before quotes what of wire is before a position.
func before(wire []byte, at int) []byte {
	const most = 30
	return wire[max(0, at-most):at]
}
