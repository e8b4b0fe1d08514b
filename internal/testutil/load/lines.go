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

	// Counted is for a group that answers "<pid> <n> foo": n has to be the
	// number of the line on its connection, whatever process answers.
	Counted bool

	// Think is the most time that the user waits, for a random time, before
	// each line, while the connection is idle. If zero, there is no wait.
	Think time.Duration

	// Split, if not zero, sends each line in two parts, that far apart.
	Split time.Duration
}

// Lines is the user of a tcp group, which answers every line "foo" with
// "<pid> foo". The generation is not in that answer; a [Recorder] learns it
// from the other clients' replies, if one of them met the same process.
type Lines struct {
	link
	opts LinesOptions
	user int64
	n    int
}

// NewLines returns a client that sends one line after another on one
// connection.
func NewLines(t Target, o LinesOptions) (*Lines, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("lines: %w", err)
	}
	l := link{kind: "lines", target: t, kept: !o.OneShot, lookFirst: o.ReconnectOnEOF, think: o.Think, expected: o.Split}
	return &Lines{link: l, opts: o, user: users.Add(1)}, nil
}

// Do sends one line and reads its answer; see [Client].
func (c *Lines) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(ctx context.Context, r *Reply) error {
		c.n++
		line := fmt.Appendf(nil, "n %d %d\n", c.user, c.n)
		rest := line
		if c.opts.Split > 0 {
			var err error
			if rest, err = c.begin(ctx, line); err != nil {
				return err
			}
		}
		answer, err := c.ask(rest)
		if err != nil {
			return err
		}
		return c.check(answer, line, r)
	})
}

// begin sends the first half of a line, waits, and returns what is still to be sent.
func (c *Lines) begin(ctx context.Context, line []byte) ([]byte, error) {
	half := len(line) / 2
	if err := c.write(line[:half]); err != nil {
		return nil, err
	}
	if err := wait(ctx, c.opts.Split); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	return line[half:], nil
}

// check takes an answer apart, and notes who has given it.
func (c *Lines) check(answer, line []byte, r *Reply) error {
	pid, rest, ok := bytes.Cut(answer, []byte(" "))
	n, err := strconv.Atoi(string(pid))
	if !ok || err != nil || n <= 0 {
		return fmt.Errorf("answer %s does not begin with a pid", excerpt(answer))
	}
	r.PID = n
	if c.opts.Counted {
		var count []byte
		count, rest, _ = bytes.Cut(rest, []byte(" "))
		if want := strconv.Itoa(c.begun); string(count) != want {
			return fmt.Errorf("answer %s: count %q, want %s", excerpt(answer), count, want)
		}
	}
	return same(rest, line)
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
