package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// StreamOptions are the options of [NewStream].
type StreamOptions struct {
	// Lines is how many lines the server is asked for. If zero, 10.
	Lines int

	// Every is the time between two lines. If zero, 100 milliseconds.
	Every time.Duration

	// Think is the most time that the user waits, for a random time, before
	// each exchange. If zero, there is no wait.
	Think time.Duration
}

// Stream is the user of answers that arrive bit by bit, each on a new
// connection.
type Stream struct {
	link
	lines int
	path  string
}

// NewStream returns a client that asks for /stream?n=Lines&every=Every.
func NewStream(t Target, o StreamOptions) (*Stream, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	lines, every := o.Lines, o.Every
	if lines == 0 {
		lines = 10
	}
	if every == 0 {
		every = 100 * time.Millisecond
	}
	return &Stream{
		link:  link{kind: "stream", target: t, think: o.Think, expected: time.Duration(lines) * every},
		lines: lines,
		path:  fmt.Sprintf("/stream?n=%d&every=%s", lines, url.QueryEscape(every.String())),
	}, nil
}

// Do gets /stream once; see [Client]. Every line has to arrive whole, and the
// end has to be the last chunk, not the connection's.
func (c *Stream) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(ctx context.Context, r *Reply) error {
		q := httpRequest{method: http.MethodGet, path: c.path, extra: "Connection: close\r\n"}
		return c.roundTrip(ctx, &q, 0, r, c.readLines)
	})
}

func (c *Stream) readLines(resp *http.Response) error {
	if !framed(resp) {
		return errNotFramed
	}
	body := bufio.NewReader(resp.Body)
	n := 0
	for {
		rest, err := body.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(rest) > 0 {
			return fmt.Errorf("line %d is cut: %s", n+1, excerpt(rest))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("line %d of %d: %w", n+1, c.lines, c.readError("body", err))
		}
		n++
	}
	if n != c.lines {
		return fmt.Errorf("%d lines, want %d", n, c.lines)
	}
	return nil
}
