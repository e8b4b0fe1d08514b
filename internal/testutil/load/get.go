package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// identitySize is the most that an answer of "/" may be long.
const identitySize = 64 << 10

// GetOptions are the options of [NewGet].
type GetOptions struct {
	// Think is the most time that the user waits, for a random time, before
	// each exchange. If zero, there is no wait.
	Think time.Duration

	// Silent is how long a new connection says nothing before its request is
	// sent. If zero, the request follows at once.
	Silent time.Duration
}

// Get is the user who opens a new connection for each GET /.
type Get struct {
	link
	opts GetOptions
	body bytes.Buffer
}

// NewGet returns a client that sends each GET / on a connection of its own,
// with "Connection: close".
func NewGet(t Target, o GetOptions) (*Get, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	return &Get{link: link{kind: "get", target: t, think: o.Think, expected: o.Silent}, opts: o}, nil
}

// Do gets / once; see [Client].
func (c *Get) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(ctx context.Context, r *Reply) error {
		if err := wait(ctx, c.opts.Silent); err != nil {
			return fmt.Errorf("before the request: %w", err)
		}
		return c.getIdentity(ctx, "/", r, &c.body)
	})
}

// getIdentity gets path, which answers with the identity of the process, and
// compares that with the headers.
func (l *link) getIdentity(ctx context.Context, path string, r *Reply, buf *bytes.Buffer) error {
	q := httpRequest{method: http.MethodGet, path: path, extra: "Connection: close\r\n"}
	return l.roundTrip(ctx, &q, 0, r, func(resp *http.Response) error {
		if err := l.readBody(resp, buf, identitySize); err != nil {
			return err
		}
		return checkIdentity(buf.Bytes(), r)
	})
}

func checkIdentity(body []byte, r *Reply) error {
	var id struct{ Generation, PID int }
	if err := json.Unmarshal(body, &id); err != nil {
		return fmt.Errorf("body %s: %w", excerpt(body), err)
	}
	if id.Generation != r.Generation || id.PID != r.PID {
		return fmt.Errorf("body says generation %d, pid %d; headers say %d, %d", id.Generation, id.PID, r.Generation, r.PID)
	}
	return nil
}
