package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 64 << 10

// exchange sends a request without a body on a connection of its own, and returns the answer. Its body is the caller's
// to close. The http.Client of the standard library does this too, but every daemon has this package in it, and would
// carry that client's proxies, TLS, HTTP/2 and cookies along.
func (c *Client) exchange(ctx context.Context, method, path string) (*http.Response, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	conn = &abandoned{conn, ctx}
	// A blocked write ends with the connection.
	body := &answerBody{ctx: ctx, conn: conn, release: context.AfterFunc(ctx, func() { socket.Leave(conn) })}
	// The daemon's user may write a header without end.
	answer := &io.LimitedReader{R: conn, N: maxHeader}
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: gozd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path)
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(answer), &http.Request{Method: method})
	if err != nil {
		_ = body.Close()
		if answer.N <= 0 {
			err = fmt.Errorf("%w: a header of more than %d bytes", ErrProtocol, maxHeader)
		}
		return nil, err
	}
	answer.N = math.MaxInt64 // the body is bounded by who reads it
	body.ReadCloser, resp.Body = resp.Body, body
	return resp, nil
}

// abandoned is a connection that nobody waits for when ctx has ended. Whoever answers may have sent a descriptor along, which the kernel
// closes in the read, or when the connection is closed: that can take as long as he wants, where it cannot be refused.
type abandoned struct {
	net.Conn

	ctx context.Context
}

// Read reads in a goroutine of its own, into memory of its own.
func (c *abandoned) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	read := make(chan result, 1)
	size := len(p)
	go func() {
		buf := make([]byte, size)
		n, err := c.Conn.Read(buf)
		read <- result{buf[:n], err}
	}()
	select {
	case r := <-read:
		return copy(p, r.data), r.err
	case <-c.ctx.Done():
		return 0, context.Cause(c.ctx)
	}
}

// Close does not wait for the ends of descriptors that have been sent along.
func (c *abandoned) Close() error {
	socket.Leave(c.Conn)
	return nil
}

// answerBody has the connection to itself.
type answerBody struct {
	io.ReadCloser // nil until there is an answer

	ctx     context.Context // of the request
	conn    net.Conn
	release func() bool
}

// Read says why the connection was closed, if ctx has ended.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

// Close closes the connection. What is left of the answer is not read.
func (b *answerBody) Close() error {
	b.release()
	return b.conn.Close()
}
