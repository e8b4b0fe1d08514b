package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// socketWait is how long the socket of a generation that has just become ready is waited for. It is
// there before the state file, unless there was no room for it, or gozd in it is older.
const socketWait = 10 * time.Second

// maxAnswer bounds what is read of an answer that is no stream, in bytes. The daemon's user makes it, and what root's gozdctl makes of it is up to 300 times as
// large. A group has some 400 bytes in each generation.
const maxAnswer = 512 << 10

// maxMetrics bounds the metrics, in bytes, of which nothing is made.
const maxMetrics = 16 << 20

// maxEvent bounds one event of a stream, in bytes. The longest has what a crash has said, which is cut far below.
const maxEvent = 1 << 20

// Client asks one generation, on a new connection each time. Its methods are safe for concurrent use.
type Client struct {
	pidfile string
	pid     int
	path    string

	generation int  // 0 where it is not known
	owner      int  // uid of the user whose daemon it is; -1 where it is not known
	sees       bool // see Sees; false where it was dialled by its PID alone

	accept func(socket.Peer) error // says who may answer

	send func(ctx context.Context, method, path string) (*http.Response, error) // exchange
}

// settleWait is how long the files of a daemon may name a generation that is gone, or none: while one starts, is
// replaced, or has died.
const settleWait = 5 * time.Second

// dialInterval is how often Dial looks.
const dialInterval = 5 * time.Millisecond

// Dial returns a Client of the generation that serves, by the daemon's PID file. It asks the socket first, so that
// a daemon is found whose processes cannot be seen from here. The
// error wraps process.ErrNotRunning where no daemon runs, process.ErrUntrusted, [ErrNoSocket] and
// [ErrPermission].
func Dial(ctx context.Context, pidfile string) (*Client, error) {
	began := time.Now()
	tick := time.NewTicker(dialInterval)
	defer tick.Stop()
	for {
		c, until, err := tryDial(ctx, pidfile, began.Add(settleWait))
		if err == nil || !time.Now().Before(until) {
			return c, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// maxAsked is how many generations Ask finds gone before it asks them.
const maxAsked = 10

// Ask calls Dial, and do with the generation that serves. One that has ended between the two has not been asked: then there is another one,
// or the daemon does not run.
func Ask(ctx context.Context, pidfile string, do func(c *Client) error) error {
	for asked := 1; ; asked++ {
		c, err := Dial(ctx, pidfile)
		if err != nil {
			return err
		}
		if err = do(c); !errors.Is(err, ErrNoSocket) || asked == maxAsked {
			return err
		}
	}
}

// tryDial looks once. An error may pass until then.
func tryDial(ctx context.Context, pidfile string, settled time.Time) (c *Client, until time.Time, err error) {
	r, err := process.ReadRecord(pidfile)
	if err != nil {
		if process.IsUnsettled(err) {
			until = settled
		}
		return nil, until, err
	}
	c, err = dialRecord(ctx, pidfile, r)
	if !errors.Is(err, ErrNoSocket) {
		return c, until, err
	}
	p, goneErr := r.Open()
	if goneErr != nil { // it may have been replaced, and have ended, since
		return nil, settled, goneErr
	}
	p.Close()
	switch {
	case errors.Is(err, errAnother): // it stays
	case errors.Is(err, errClosed):
		until = settled
	case r.State.Control:
		until = r.State.Since.Add(socketWait)
	}
	return nil, until, err
}

// dialRecord connects to the control socket of the generation that a daemon's files name.
func dialRecord(ctx context.Context, pidfile string, r *process.Record) (*Client, error) {
	c := newClient(pidfile, r.State.PID, func(p socket.Peer) error { return isGeneration(p, r) })
	c.generation, c.owner = r.State.Generation, r.Owner
	if err := c.probe(ctx); err != nil {
		return nil, err
	}
	if p, err := r.Open(); err == nil { // of the record that has just been compared: its user can write another one at any moment
		c.sees = true
		p.Close()
	}
	return c, nil
}

// isGeneration compares who answers with what the daemon's files say: the socket may have been put there by whoever
// owns the directory, and lead to another daemon.
func isGeneration(p socket.Peer, r *process.Record) error {
	if p.UID != r.Owner {
		return fmt.Errorf("who answers is user %d, and the daemon is user %d's: %w", p.UID, r.Owner, process.ErrUntrusted)
	}
	if p.PID == 0 {
		return nil // it cannot be seen from here
	}
	if inside, err := process.PIDInside(p.PID); p.PID != r.State.PID && (err != nil || inside != r.State.PID) {
		return fmt.Errorf("who answers is process %d, and the daemon is process %d: %w", p.PID, r.State.PID, process.ErrUntrusted)
	}
	start, err := process.StartTime(p.PID)
	if p.PID == r.State.PID && err == nil && r.State.StartTime != 0 && start != r.State.StartTime {
		return fmt.Errorf("who answers is another process %d than the daemon was: %w", p.PID, process.ErrUntrusted)
	}
	return nil
}

// DialPID returns a Client of the generation with that PID, be it serving, draining
// or on probation. Where there is no socket the error wraps [ErrNoSocket], at once.
func DialPID(ctx context.Context, pidfile string, pid int) (*Client, error) {
	c := At(pidfile, pid)
	if err := c.probe(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// At returns a Client of the generation with that PID of this process's own daemon, without a look whether there
// is one: the first call says so.
func At(pidfile string, pid int) *Client {
	return newClient(pidfile, pid, func(p socket.Peer) error {
		if p.PID != 0 && p.PID != pid || p.UID != os.Geteuid() && p.UID != 0 {
			return fmt.Errorf("who answers is process %d of user %d, and not process %d: %w", p.PID, p.UID, pid, process.ErrUntrusted)
		}
		return nil
	})
}

// newClient has accept say who may answer on the socket.
func newClient(pidfile string, pid int, accept func(socket.Peer) error) *Client {
	c := &Client{pidfile: pidfile, pid: pid, owner: -1, path: protocol.SocketPath(pidfile, pid), accept: accept}
	c.send = c.exchange
	return c
}

// connect returns a connection to the generation, and to nobody else.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	conn, err := socket.Dial(ctx, c.path)
	if err != nil {
		return nil, err
	}
	peer, err := socket.PeerOf(conn)
	if err == nil {
		err = c.accept(peer)
	}
	if err != nil {
		socket.Leave(conn)
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	return conn, nil
}

// probe finds out whether the generation answers at the path.
func (c *Client) probe(ctx context.Context) error {
	conn, err := c.connect(ctx)
	switch {
	case err != nil && ctx.Err() != nil: // as in do
		return fmt.Errorf("%s: %w", c.path, context.Cause(ctx))
	case err != nil:
		return c.connectError(err)
	}
	socket.Leave(conn)
	return nil
}

// connectError says what an error of connecting means.
func (c *Client) connectError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return noSocket(c.path)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.ELOOP): // another user's, who may make files there: the daemon has none, and its log says so
		return fmt.Errorf("%s: %w: %w", c.path, errAnother, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: %w", c.path, errClosed)
	case errors.Is(err, process.ErrUntrusted):
		return fmt.Errorf("control socket: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: %w", c.path, ErrPermission, err)
	}
	return fmt.Errorf("control socket: %w", err)
}

func noSocket(path string) error { return fmt.Errorf("%s: %w", path, ErrNoSocket) }

// PID returns that of the generation which is asked.
func (c *Client) PID() int { return c.pid }

// Generation returns the number of the generation which is asked, and 0 where it was dialled by its PID alone.
func (c *Client) Generation() int { return c.generation }

// Owner returns the number of the user whose daemon it is, who alone may answer; -1 where it was dialled by its PID
// alone, and where the system has none.
func (c *Client) Owner() int { return c.owner }

// Sees reports whether the daemon's processes could be seen from here when it was dialled: they are in no other PID namespace, and /proc is there.
func (c *Client) Sees() bool { return c.sees }

// Path returns the path of the control socket.
func (c *Client) Path() string { return c.path }

// do sends a request and returns the answer to one that has been accepted. The body
// is the caller's to close.
func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	resp, err := c.send(ctx, method, path)
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
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = decode(body, v)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s: %w", c.path, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", c.path, ErrProtocol, err)
	}
	return nil
}

// decoding is held by who makes something of an answer: those of all daemons together would take gigabytes, if their users like.
var decoding sync.Mutex

func decode(body []byte, v any) error {
	decoding.Lock()
	defer decoding.Unlock()
	return json.NewDecoder(bytes.NewReader(body)).Decode(v)
}
