package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// patience is how long a generation waits for a supervisor that reads nothing, because it
// is stopped, before it goes on without having been heard.
const patience = 5 * time.Second

// Client is a generation's end of the channel. A nil Client is valid: nobody
// supervises, and nobody hears. Its methods are safe for concurrent use.
type Client struct {
	file    *os.File
	answers *os.File // what the supervisor says; nil for one of a version that says nothing
	pid     int      // of the supervisor
	gone    chan struct{}
}

// NewClient takes over a generation's end of the channel, and of the pipe on which the supervisor answers, nil for none.
func NewClient(f, answers *os.File) (*Client, error) {
	pid, err := peer(f)
	if err != nil {
		return nil, fmt.Errorf("supervise: channel: %w", err)
	}
	c := &Client{file: f, answers: answers, pid: pid, gone: make(chan struct{})}
	go c.watch()
	return c, nil
}

// watch waits for the end of the channel. The supervisor sends nothing.
func (c *Client) watch() {
	_, err := c.file.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrClosed) {
		// It may have written on what this process writes to standard error: that is no reason to end before the rest is done.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		close(c.gone)
	}
}

// File is what the next generation gets. It stays the Client's; nil without a supervisor.
func (c *Client) File() *os.File {
	if c == nil {
		return nil
	}
	return c.file
}

// Answers is what the next generation gets, too; nil for none.
func (c *Client) Answers() *os.File {
	if c == nil {
		return nil
	}
	return c.answers
}

// PID is the supervisor's; 0 without one.
func (c *Client) PID() int {
	if c == nil {
		return 0
	}
	return c.pid
}

// Gone is closed when the supervisor has ended. It is nil without one.
func (c *Client) Gone() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.gone
}

// Notify reports an event to the supervisor. That it is gone is no error here; see Gone.
func (c *Client) Notify(e Event) error { return c.send(e, nil) }

// Socket is one that systemd is to keep, and the name under which it does.
type Socket struct {
	Name   string
	Socket syscall.Conn
}

// Keep asks the supervisor to give these sockets to systemd, which lets go of others that it has kept for the daemon.
// An event that says so follows: see Event.Keeps. The sockets stay the caller's. e has only what is signed.
func (c *Client) Keep(e Event, sockets []Socket) error {
	if c == nil {
		return nil
	}
	e.Kind = Keeping
	var files []int
	defer func() { fdpass.Close(files) }()
	size := 0
	for _, s := range sockets {
		fd, err := fdpass.Dup(s.Socket)
		if err != nil {
			return fmt.Errorf("supervise: %s: %w", s.Name, err)
		}
		e.Names, files, size = append(e.Names, s.Name), append(files, fd), size+2*len(s.Name)
	}
	if size > maxNames || len(files) > maxKept {
		return fmt.Errorf("supervise: keep %d sockets: they are too many", len(files))
	}
	err := c.send(e, files)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("supervise: the supervisor takes no sockets: there is no systemd to keep them, or fdstore was not in the configuration when the service was started: %w", err)
	}
	return err
}

func (c *Client) send(e Event, files []int) error {
	if c == nil {
		return nil
	}
	select {
	case <-c.gone:
		return nil
	default:
	}
	data, err := e.encode()
	if err != nil {
		return fmt.Errorf("supervise: event: %w", err)
	}
	_ = c.file.SetWriteDeadline(time.Now().Add(patience)) // without one it would only wait longer
	if err := write(c.file, data, files); err != nil && !isGone(err) {
		return fmt.Errorf("supervise: tell the supervisor that this generation is %s: %w", e.Kind, err)
	}
	return nil
}

// Close lets go of the channel.
func (c *Client) Close() {
	if c != nil {
		_ = c.file.Close()
		if c.answers != nil {
			_ = c.answers.Close()
		}
	}
}

// WatchdogInterval is how often somebody wants to know that the generation that serves is alive; 0 for
// never. The supervisor leaves the variable to its generations if it is meant.
func (c *Client) WatchdogInterval() time.Duration {
	usec, err := strconv.ParseInt(os.Getenv(watchdogEnv), 10, 64)
	if c == nil || err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}
