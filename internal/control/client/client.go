package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// socketWait is how long a generation that has just become ready may take to open its
// socket: that is the last thing that it does.
const socketWait = 10 * time.Second

// maxAnswer bounds what is read of an answer that is no stream, in bytes.
const maxAnswer = 16 << 20

// maxEvent bounds one event of a stream, in bytes. The longest has what a crash has said, which is cut far below.
const maxEvent = 1 << 20

// Client asks one generation. Its methods are safe for concurrent use. A Client is
// closed after use.
type Client struct {
	pidfile string
	pid     int
	path    string
	http    *http.Client
}

// Dial returns a Client of the generation that serves, by the daemon's PID file. The
// error wraps process.ErrNotRunning where no daemon runs, [ErrNoSocket] and
// [ErrPermission].
func Dial(ctx context.Context, pidfile string) (*Client, error) {
	for {
		r, err := process.Await(ctx, pidfile)
		if err != nil {
			return nil, err
		}
		c, err := dialRunning(ctx, pidfile, r)
		// It may have been replaced, and have ended, since it was found.
		if err == nil || !isGone(err) && !isReplaced(pidfile, r.PID) {
			return c, err
		}
	}
}

// dialRunning closes r.
func dialRunning(ctx context.Context, pidfile string, r *process.Running) (*Client, error) {
	defer r.Close()
	if !r.State.Control {
		return nil, noSocket(protocol.SocketPath(pidfile, r.PID))
	}
	return dial(ctx, pidfile, r.PID, r.State.StartTime, r.State.Since)
}

// isReplaced reports whether the state file names another generation by now.
func isReplaced(pidfile string, pid int) bool {
	s, err := process.ReadState(pidfile)
	return err == nil && s.PID != pid
}

// DialPID returns a Client of the generation with that PID, be it serving, draining
// or on probation. Where there is no socket the error wraps [ErrNoSocket], at once.
func DialPID(ctx context.Context, pidfile string, pid int) (*Client, error) {
	c := newClient(pidfile, pid)
	if err := c.probe(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// At returns a Client of the generation with that PID, without a look whether there
// is one: the first call says so.
func At(pidfile string, pid int) *Client { return newClient(pidfile, pid) }

// dial is DialPID for a generation that has been ready since then: it has its socket, or is
// about to.
func dial(ctx context.Context, pidfile string, pid int, startTime uint64, since time.Time) (*Client, error) {
	late := time.NewTimer(time.Until(since.Add(socketWait)))
	defer late.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := DialPID(ctx, pidfile, pid)
		if !errors.Is(err, ErrNoSocket) {
			return c, err
		}
		p, goneErr := process.Open(pid, startTime)
		if goneErr != nil {
			return nil, goneErr
		}
		p.Close()
		select {
		case <-tick.C:
		case <-late.C:
			return nil, err
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

func newClient(pidfile string, pid int) *Client {
	path := protocol.SocketPath(pidfile, pid)
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{
		pidfile: pidfile,
		pid:     pid,
		path:    path,
		http:    &http.Client{Transport: &http.Transport{DialContext: connect, MaxIdleConns: 1}},
	}
}

// probe finds out whether somebody answers at the path.
func (c *Client) probe(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.path)
	if err != nil {
		return c.connectError(err)
	}
	return conn.Close()
}

// connectError says what an error of connecting means.
func (c *Client) connectError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return noSocket(c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: %w", c.path, ErrPermission, err)
	}
	return fmt.Errorf("control socket: %w", err)
}

func noSocket(path string) error { return fmt.Errorf("%s: %w", path, ErrNoSocket) }

// PID returns that of the generation which is asked.
func (c *Client) PID() int { return c.pid }

// Path returns the path of the control socket.
func (c *Client) Path() string { return c.path }

// Close closes connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request and returns the answer to one that has been accepted. The body
// is the caller's to close.
func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://gozd"+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil && ctx.Err() != nil { // a dial that was cut short by it says so in words of its own
		return nil, fmt.Errorf("%s: %w", c.path, context.Cause(ctx))
	}
	if err != nil {
		return nil, c.connectError(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, c.refusal(resp)
}

// refusal is the error that an answer stands for.
func (c *Client) refusal(resp *http.Response) error {
	e := &AnswerError{PID: c.pid}
	err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&e.Answer)
	if err != nil || e.Answer.Error == "" {
		return fmt.Errorf("%s: %w: it answers %s", c.path, ErrProtocol, resp.Status)
	}
	if e.Answer.Code == protocol.CodeNotFound {
		return fmt.Errorf("%s: %w: %s", c.path, ErrProtocol, e.Answer.Error)
	}
	return e
}

// ask sends a request and decodes the answer into v.
func (c *Client) ask(ctx context.Context, method, path string, v any) error {
	resp, err := c.do(ctx, method, path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", c.path, context.Cause(ctx))
		}
		return fmt.Errorf("%s: %w: %w", c.path, ErrProtocol, err)
	}
	return nil
}
