package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/exposition"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/totals"
)

// countTime is how long a generation may take to say what it counts.
const countTime = 2 * time.Second

// counting is what the program counts for Prometheus, in all generations.
type counting struct {
	ledger *totals.Ledger // of generations that have ended

	mu    sync.Mutex // guards what follows
	own   func(context.Context) (string, error)
	known map[totals.Process]string // what other generations have last said
}

// CountBy has count say what the program counts in this generation.
func (e *Engine) CountBy(count func(context.Context) (string, error)) {
	e.counting.mu.Lock()
	defer e.counting.mu.Unlock()
	e.counting.own = count
}

// Program implements server.Daemon.
func (c controlled) Program(ctx context.Context, all bool) (string, error) {
	if all {
		return c.e.Metrics(ctx)
	}
	return c.e.counting.count(ctx)
}

// count returns nothing where the program has not said how.
func (c *counting) count(ctx context.Context) (string, error) {
	c.mu.Lock()
	own := c.own
	c.mu.Unlock()
	if own == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	type counts struct {
		text string
		err  error
	}
	counted := make(chan counts, 1)
	go func() {
		var n counts
		defer func() {
			if p := recover(); p != nil { // as net/http does for a handler
				n.err = fmt.Errorf("the program's metrics: panic: %v", p)
			}
			counted <- n
		}()
		n.text, n.err = own(ctx)
	}()
	select {
	case n := <-counted:
		return n.text, n.err
	case <-ctx.Done():
		return "", fmt.Errorf("the program has not said what it counts within %v", countTime)
	}
}

// Metrics returns what the program counts in this generation, with the counts of all others added, those that have ended and those that live, and
// gozd's own metrics. The error says why that is not known: a sum without some would look like a restart. A generation that has been
// replaced asks the one that serves.
func (e *Engine) Metrics(ctx context.Context) (string, error) {
	if next := e.life.replacedBy(); next != nil {
		return askSuccessor(ctx, next.PIDFile)
	}
	text, err := controlled{e}.counts(ctx)
	if err != nil {
		return "", err
	}
	all := bytes.NewBufferString(text)
	server.WriteMetrics(all, controlled{e}.Status(ctx, false))
	return all.String(), nil
}

// askSuccessor asks whoever serves by now: the successor, if that has not been replaced too.
func askSuccessor(ctx context.Context, pidfile string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*countTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := client.Dial(ctx, pidfile)
		if err != nil {
			return "", err
		}
		if c.PID() != os.Getpid() {
			return c.Program(ctx, true)
		}
		select { // the files name the one that serves a moment after it does
		case <-tick.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// counts are those of the program in all generations.
func (c controlled) counts(ctx context.Context) (string, error) {
	counting := &c.e.counting
	text, err := counting.count(ctx)
	if err != nil {
		return "", err
	}
	older, newer := c.others()
	failed := make([]error, len(older)+len(newer))
	var asked sync.WaitGroup
	for i, r := range append(older, newer...) {
		if r.pidfile == "" {
			continue
		}
		asked.Go(func() {
			err := counting.ask(ctx, r)
			if i < len(older) { // a new one has said nothing yet that could be missing
				failed[i] = err
			}
		})
	}
	asked.Wait()
	return counting.sum(text, errors.Join(failed...))
}

// ask notes what another generation counts. It fails where nothing is known of that.
func (c *counting) ask(ctx context.Context, r relative) error {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	text, err := client.At(r.pidfile, r.known.PID).Program(ctx, false)
	if errors.Is(err, client.ErrProtocol) {
		text, err = "", nil // its gozd is older, and knows no such path
	}
	p := totals.Process{PID: r.known.PID, StartTime: r.known.StartTime}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.known[p] = text
	} else if _, isKnown := c.known[p]; !isKnown {
		if ended, _ := c.ledger.Ended(); !ended[p] {
			return fmt.Errorf("generation %d: %w", r.known.Generation, err)
		}
	}
	return nil
}

// sum adds the counts of others to text. What has ended by now has left more than it has said. For one that was killed its last words are left
// here, so that successors know them too.
func (c *counting) sum(text string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, counts := range c.known {
		if (peers.Peer{PID: p.PID, StartTime: p.StartTime}).IsAlive() {
			continue
		}
		if ended, _ := c.ledger.Ended(); !ended[p] {
			_ = c.ledger.Leave(p, counts) // where there is no room this process knows them still
		}
	}
	ended, left := c.ledger.Ended()
	maps.DeleteFunc(c.known, func(p totals.Process, _ string) bool { return ended[p] })
	others := []string{left}
	for _, counts := range c.known {
		others = append(others, counts)
	}
	return exposition.Sum(text, others...), nil
}

// leave has what this generation has counted outlive it. Nothing comes to it any more.
func (c *counting) leave(log *slog.Logger) {
	text, err := c.count(context.Background())
	if err == nil && text != "" {
		err = c.ledger.Leave(totals.Process{PID: os.Getpid(), StartTime: startTime()}, text)
	}
	if err != nil {
		log.Warn("what the program has counted ends with this generation", "error", err)
	}
}
