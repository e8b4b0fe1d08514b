//go:build linux

// Package clients plays the users of a tool that is being upgraded. None of them
// ever sends a request twice, and each looks at every byte of the answer.
package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// timeout bounds an exchange. Who waits longer has lost the request.
const timeout = 5 * time.Second

// http1 is a user of HTTP/1.1 who does POST /echo.
type http1 struct {
	address string
	tls     *tls.Config
	keep    bool          // the connection outlives the exchange
	look    bool          // for its end, before a request is sent
	early   time.Duration // how long before
	resumed func(bool)    // is told of each handshake after the first; may be nil

	conn   net.Conn
	br     *bufio.Reader
	dialed int
	broken bool // the last connection was lost with a request
	n      int
}

// Close ends the user's connection.
func (c *http1) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// Do does one exchange; see [load.Client].
func (c *http1) Do(ctx context.Context) (load.Reply, error) {
	var r load.Reply
	start := time.Now()
	err := c.exchange(ctx, &r)
	r.Took = time.Since(start)
	c.broken = err != nil
	if c.broken || !c.keep {
		_ = c.Close()
	}
	return r, err
}

func (c *http1) exchange(ctx context.Context, r *load.Reply) error {
	if c.conn != nil && c.look && c.ended() {
		_ = c.Close()
	}
	time.Sleep(c.early)
	if c.conn == nil {
		if err := c.dial(ctx, r); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	return c.post()
}

func (c *http1) dial(ctx context.Context, r *load.Reply) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	if c.tls != nil {
		if conn, err = c.secure(ctx, conn); err != nil {
			return err
		}
	}
	r.Dialed, r.Reconnected = true, c.keep && c.dialed > 0 && !c.broken
	c.conn, c.br = conn, bufio.NewReader(conn)
	c.dialed++
	return nil
}

func (c *http1) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	secure := tls.Client(conn, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if c.dialed > 0 && c.resumed != nil {
		c.resumed(secure.ConnectionState().DidResume)
	}
	return secure, nil
}

// ended looks for an end of file, as a pool does before it uses a connection again.
// Under TLS something may be there that is none, such as a session ticket.
func (c *http1) ended() bool {
	if !c.pending() {
		return false
	}
	if c.tls == nil {
		return true // an end, a reset, or an answer that nobody asked for
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.br.Peek(1)
	var late net.Error
	return !errors.As(err, &late) || !late.Timeout()
}

// pending reports, without waiting, whether there is anything to read.
func (c *http1) pending() bool {
	under := c.conn
	if secure, ok := under.(*tls.Conn); ok {
		under = secure.NetConn()
	}
	raw, err := under.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	var peeked error
	var b [1]byte
	err = raw.Control(func(fd uintptr) {
		_, _, peeked = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err != nil || !errors.Is(peeked, syscall.EAGAIN)
}

func (c *http1) post() error {
	c.n++
	body := fmt.Appendf(nil, "%p %d, and some more that makes a small request of ordinary size", c, c.n)
	last := ""
	if !c.keep {
		last = "Connection: close\r\n"
	}
	request := fmt.Appendf(nil, "POST /echo HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", last, len(body), body)
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(c.br, &http.Request{Method: http.MethodPost})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(body))+1))
	switch {
	case err != nil:
		return fmt.Errorf("read body: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case !bytes.Equal(got, body):
		return fmt.Errorf("answer %q, want %q", got, body)
	}
	if resp.Close {
		_ = c.Close() // as the server has announced
	}
	return nil
}
