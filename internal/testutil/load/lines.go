package load

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

// LinesOptions are the options of [NewLines].
type LinesOptions struct {
	// OneShot opens a new connection for each line.
	OneShot bool

	// ReconnectOnEOF makes the user look for an end of file before sending a
	// line, without waiting for one. An end found there is a planned
	// reconnect. If false, the user sends without looking, and any end of
	// file is a failure.
	ReconnectOnEOF bool

	// Think is the most time that the user waits, for a random time, before
	// each line, while the connection is idle. If zero, there is no wait.
	Think time.Duration
}

// Lines is the user of a tcp group, which answers every line "foo" with
// "<pid> foo". The generation is not in that answer; a [Recorder] learns it
// from the other clients' replies, if one of them met the same process.
type Lines struct {
	link
	user int64
	n    int
}

// NewLines returns a client that sends one line after another on one
// connection.
func NewLines(t Target, o LinesOptions) (*Lines, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("lines: %w", err)
	}
	l := link{kind: "lines", target: t, kept: !o.OneShot, lookFirst: o.ReconnectOnEOF, think: o.Think}
	return &Lines{link: l, user: users.Add(1)}, nil
}

// Do sends one line and reads its answer; see [Client].
func (c *Lines) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(_ context.Context, r *Reply) error {
		c.n++
		line := fmt.Appendf(nil, "n %d %d\n", c.user, c.n)
		answer, err := c.ask(line)
		if err != nil {
			return err
		}
		pid, rest, ok := bytes.Cut(answer, []byte(" "))
		if r.PID, err = strconv.Atoi(string(pid)); !ok || err != nil || r.PID <= 0 {
			r.PID = 0
			return fmt.Errorf("answer %s does not begin with a pid", excerpt(answer))
		}
		return same(rest, line)
	})
}

// ask sends a line and returns the line that comes back, valid until the next
// read.
func (l *link) ask(line []byte) ([]byte, error) {
	if err := l.write(line); err != nil {
		return nil, err
	}
	answer, err := l.br.ReadSlice('\n')
	if err != nil {
		return nil, l.readError("line", err)
	}
	return answer, nil
}
