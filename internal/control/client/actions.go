package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// maxGenerations bounds how many generations are believed: whoever asks may look at the process of each. max_generations is 16 unless the
// configuration says otherwise, and an answer has no room for more than this that have groups.
const maxGenerations = 1024

// maxGroups bounds how many groups of all generations are believed, as each is shown on a line or more. A real one takes more than a hundred
// bytes of an answer.
const maxGroups = maxAnswer / 100

// Status asks what the generation knows. The one that serves knows all that live, which
// takes it half a second at most if one of them does not answer.
func (c *Client) Status(ctx context.Context) (*protocol.Status, error) {
	return c.status(ctx, protocol.PathStatus)
}

// StatusAlone is Status without the other generations.
func (c *Client) StatusAlone(ctx context.Context) (*protocol.Status, error) {
	return c.status(ctx, protocol.PathStatus+"?"+protocol.QueryAlone+"="+protocol.Yes)
}

func (c *Client) status(ctx context.Context, path string) (*protocol.Status, error) {
	s := new(protocol.Status)
	err := c.ask(ctx, http.MethodGet, path, s)
	if isCut(err) { // its process was killed: whoever serves now can be asked the same
		return nil, fmt.Errorf("%s: %w: %w", c.path, errClosed, err)
	}
	if err != nil {
		return nil, err
	}
	if n := len(s.Generations); n > maxGenerations {
		return nil, fmt.Errorf("%s: %w: %d generations, and more than %d are not believed", c.path, ErrProtocol, n, maxGenerations)
	}
	groups := 0
	for _, g := range s.Generations {
		groups += len(g.Groups)
	}
	if groups > maxGroups {
		return nil, fmt.Errorf("%s: %w: %d groups, and more than %d are not believed", c.path, ErrProtocol, groups, maxGroups)
	}
	return s, nil
}

// isCut reports whether the other side has gone without an answer.
func isCut(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrProtocol)
}

// Metrics copies the generation's metrics, in the Prometheus text format, to w.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, protocol.PathMetrics)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(w, io.LimitReader(resp.Body, maxMetrics)); err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	return nil
}

// Program returns what the program counts in this generation, in the Prometheus text format; nothing where it does not say. With all it is what
// all generations count, and gozd's own metrics.
func (c *Client) Program(ctx context.Context, all bool) (string, error) {
	path := protocol.PathProgram
	if all {
		path += "?" + protocol.QueryAll + "=" + protocol.Yes
	}
	resp, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetrics))
	if err == nil && len(text) == maxMetrics {
		err = fmt.Errorf("more than %d bytes", maxMetrics)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.path, err)
	}
	return string(text), nil
}

// Rollback ends the upgrade that is on probation, and returns when the generation that
// was asked serves alone again. Where nothing is on probation, or the new generation took over
// meanwhile, the error is an *[AnswerError] with protocol.CodeNoProbation.
func (c *Client) Rollback(ctx context.Context) (*protocol.Answer, error) {
	return c.act(ctx, protocol.PathRollback)
}

// Stop has the daemon end under stop_timeout, and does not wait for that. The PID in
// the answer is that of the generation to watch. A generation that drains already is
// hurried, and alone; the error is a *[MovedError] where an upgrade has just moved the daemon's PID file, and [ErrReplaced] where it says so and the
// files do not.
func (c *Client) Stop(ctx context.Context) (*protocol.Answer, error) {
	return c.end(ctx, protocol.PathStop)
}

// Quit is Stop under drain_timeout.
func (c *Client) Quit(ctx context.Context) (*protocol.Answer, error) {
	return c.end(ctx, protocol.PathQuit)
}

func (c *Client) end(ctx context.Context, path string) (*protocol.Answer, error) {
	a, err := c.act(ctx, path)
	if err == nil && a.PIDFile != "" && c.generation != 0 { // one that was dialled by its PID is meant itself
		return nil, c.moved(ctx, a.PIDFile)
	}
	return a, err
}

// moved is the error where the generation that was asked has only been hurried, and says which PID file its successor has. It could name any: it is
// believed where a daemon of the same user runs by that. The successor's files are complete a moment after it serves.
func (c *Client) moved(ctx context.Context, to string) error {
	if !filepath.IsAbs(to) {
		return fmt.Errorf("%s: %w: %w: %q is no path of a PID file", c.path, ErrReplaced, ErrProtocol, to)
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	for {
		r, err := process.ReadRecordOf(to, c.owner)
		switch {
		case err == nil && r.State.PID != c.pid:
			return &MovedError{PIDFile: c.pidfile, To: to}
		case err == nil:
			err = fmt.Errorf("%s: it names pid %d itself: %w", to, c.pid, process.ErrUntrusted)
		}
		if !process.IsUnsettled(err) {
			return fmt.Errorf("pid %d: %w: %w", c.pid, ErrReplaced, err)
		}
		if pause(ctx) != nil {
			return fmt.Errorf("pid %d: %w: %w: %w", c.pid, ErrReplaced, ErrUnknownOutcome, err)
		}
	}
}

// Reopen has this generation and the older ones reopen their log. This one has done it
// when Reopen returns.
func (c *Client) Reopen(ctx context.Context) (*protocol.Answer, error) {
	return c.act(ctx, protocol.PathReopen)
}

// ReloadCerts has the generation read the files of key pairs again. The answer names the groups with something new. Where a file is bad
// the error is an *[AnswerError] with protocol.CodeFailed.
func (c *Client) ReloadCerts(ctx context.Context) (*protocol.Answer, error) {
	return c.act(ctx, protocol.PathReloadCerts)
}

func (c *Client) act(ctx context.Context, path string) (*protocol.Answer, error) {
	a := new(protocol.Answer)
	if err := c.ask(ctx, http.MethodPost, path, a); err != nil {
		return nil, err
	}
	// The kernel has said which process answers, and the files its number: what it says of itself could be untrue.
	a.PID, a.Generation = c.pid, cmp.Or(c.generation, a.Generation)
	return a, nil
}
