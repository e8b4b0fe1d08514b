package load

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// HijackOptions are the options of [NewHijack].
type HijackOptions struct {
	// ReconnectOnEOF makes the user look for an end of file before sending a
	// line; one found there is a planned reconnect. If false, any end of file
	// is a failure.
	ReconnectOnEOF bool

	// Think is the most time that the user waits, for a random time, before
	// each line, while the connection is idle. If zero, there is no wait.
	Think time.Duration
}

// Hijack is the user of a connection that is no longer HTTP: it upgrades to
// the protocol "echo", and then gets back every line as it was sent.
type Hijack struct {
	link
	by   Reply // who upgraded the connection, and so answers its lines
	user int64
	n    int
}

// NewHijack returns a client that upgrades at /hijack and then echoes lines on
// that connection.
func NewHijack(t Target, o HijackOptions) (*Hijack, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("hijack: %w", err)
	}
	l := link{kind: "hijack", target: t, kept: true, lookFirst: o.ReconnectOnEOF, think: o.Think}
	return &Hijack{link: l, user: users.Add(1)}, nil
}

// Do sends one line and reads it back, after the upgrade if the connection is
// new; see [Client].
func (c *Hijack) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(_ context.Context, r *Reply) error {
		if r.Dialed {
			if err := c.upgrade(); err != nil {
				return err
			}
		}
		r.Generation, r.PID = c.by.Generation, c.by.PID
		c.n++
		line := fmt.Appendf(nil, "n %d %d\n", c.user, c.n)
		answer, err := c.ask(line)
		if err != nil {
			return err
		}
		return same(answer, line)
	})
}

func (c *Hijack) upgrade() error {
	q := httpRequest{method: http.MethodGet, path: "/hijack", extra: "Connection: Upgrade\r\nUpgrade: echo\r\n"}
	c.out = q.head(c.out, c.target.host())
	if err := c.write(c.out); err != nil {
		return err
	}
	resp, err := c.response(q.method)
	if err != nil {
		return err
	}
	if err := checkHead(resp, http.StatusSwitchingProtocols, &c.by); err != nil {
		return err
	}
	if got := resp.Header.Get("Upgrade"); !strings.EqualFold(got, "echo") {
		return fmt.Errorf("upgraded to %q, want echo", got)
	}
	return nil
}
