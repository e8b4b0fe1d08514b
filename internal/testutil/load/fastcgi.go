package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// FastCGIOptions are the options of [NewFastCGI].
type FastCGIOptions struct {
	// KeepConn keeps one connection for all requests, until the server closes
	// it. If false, each request has a connection of its own.
	KeepConn bool

	// ReconnectOnEOF makes the user look for an end of file before sending on
	// a kept connection, as pooling clients do; one found there is a planned
	// reconnect. If false, any end of file is a failure.
	ReconnectOnEOF bool

	// BodySize is the size of each request's body in bytes. If zero, 128; with
	// NoBody there is none.
	BodySize int

	// Think is the most time that the user waits, for a random time, before
	// each request, while the connection is idle. If zero, there is no wait.
	Think time.Duration
}

// FastCGI is what a web server is to a FastCGI responder: it passes on POST
// /echo, and a request that was sent and not wholly answered is a failure.
type FastCGI struct {
	link
	opts    FastCGIOptions
	payload *payload
	params  map[string]string
	reader  *FCGIReader
}

// NewFastCGI returns a client that does POST /echo by FastCGI. The target
// cannot have TLS.
func NewFastCGI(t Target, o FastCGIOptions) (*FastCGI, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("fastcgi: %w", err)
	}
	if t.TLS != nil {
		return nil, errors.New("fastcgi: FastCGI has no TLS")
	}
	p, err := newPayload(o.BodySize)
	if err != nil {
		return nil, fmt.Errorf("fastcgi: %w", err)
	}
	c := &FastCGI{
		link:    link{kind: "fastcgi", target: t, kept: o.KeepConn, lookFirst: o.ReconnectOnEOF, think: o.Think},
		opts:    o,
		payload: p,
		params:  echoParams(t.host(), len(p.buf)),
	}
	c.reader = NewFCGIReader(currentReader{&c.link})
	return c, nil
}

// currentReader reads from whichever connection the link has, so that one
// FCGIReader, which has a large buffer, serves them all.
type currentReader struct{ l *link }

func (r currentReader) Read(p []byte) (int, error) { return r.l.br.Read(p) }

// echoParams are the CGI variables that nginx would pass for POST /echo.
func echoParams(host string, size int) map[string]string {
	return map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1",
		"SERVER_SOFTWARE":   "gozd-load",
		"SERVER_PROTOCOL":   "HTTP/1.1",
		"SERVER_NAME":       "localhost",
		"SERVER_PORT":       "80",
		"REMOTE_ADDR":       "127.0.0.1",
		"REQUEST_METHOD":    http.MethodPost,
		"REQUEST_URI":       "/echo",
		"DOCUMENT_URI":      "/echo",
		"SCRIPT_NAME":       "/echo",
		"QUERY_STRING":      "",
		"CONTENT_TYPE":      "application/octet-stream",
		"CONTENT_LENGTH":    strconv.Itoa(size),
		"HTTP_HOST":         host,
	}
}

// fcgiID is the number of each request. One connection never has two at once,
// and web servers use 1 too.
const fcgiID = 1

// Do posts one body; see [Client].
func (c *FastCGI) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(_ context.Context, r *Reply) error {
		body := c.payload.next()
		q := FCGIRequest{ID: fcgiID, KeepConn: c.opts.KeepConn, Params: c.params, Stdin: body}
		c.out = q.Append(c.out[:0])
		return c.converse(c.out, func() error { return c.readAnswer(body, r) })
	})
}

func (c *FastCGI) readAnswer(body []byte, r *Reply) error {
	resp, err := c.reader.Response(fcgiID)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return c.readError("response", err)
	}
	if err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	if resp.Status != http.StatusOK {
		return fmt.Errorf("status %d, want 200 (stderr: %s)", resp.Status, excerpt(resp.Stderr))
	}
	if resp.AppStatus != 0 {
		return fmt.Errorf("application status %d, want 0 (stderr: %s)", resp.AppStatus, excerpt(resp.Stderr))
	}
	if err := served(resp.Header, r); err != nil {
		return err
	}
	return same(resp.Body, body)
}
