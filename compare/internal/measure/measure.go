//go:build linux

// Package measure upgrades tools under their clients, and writes down what that does.
package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/clients"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
)

// Options bound a comparison.
type Options struct {
	Upgrades   int           // at most, under load
	Budget     time.Duration // after which no further upgrade is begun
	ReadyLimit time.Duration // how long a new process may take
	GoneLimit  time.Duration // how long is waited for the old one to end
	LastLimit  time.Duration // how long, under load, is waited for all old ones after the last upgrade
	HeldLimit  time.Duration // the ReadyLimit while a response is held
	Quiet      time.Duration // between two upgrades
}

// Window is before and after a signal the time whose latencies are compared.
const Window = 200 * time.Millisecond

// moment is one upgrade.
type moment struct {
	signal time.Time
	ready  time.Duration
	gone   time.Duration
	there  bool // the old processes are still there
	none   bool // there are none, as the tool replaces no process

	old []int
}

// Tool measures one tool, and adds the figures to set.
func Tool(ctx context.Context, e *tools.Env, t tools.Tool, o Options, set *report.Set) (version string, err error) {
	version, done, err := underLoad(ctx, e, t, o, set)
	if !done || t.Plain {
		return version, err
	}
	if failed := held(ctx, e, t, o, set); failed != nil {
		return version, errors.Join(err, failed)
	}
	return version, errors.Join(err, streams(ctx, e, t, o, set))
}

// underLoad reports whether at least one upgrade was done. Where a later one fails, the figures are of those before it.
func underLoad(ctx context.Context, e *tools.Env, t tools.Tool, o Options, set *report.Set) (version string, done bool, err error) {
	d, err := t.Start(ctx, e)
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	crowd, err := clients.Start(ctx, d.HTTP, d.TLS, e.ClientTLS(), t.Kinds)
	if err != nil {
		return d.Version, false, err
	}
	time.Sleep(o.Quiet) // the clients connect, and the first window needs a past
	begun := time.Now()
	var moments []moment
	for i := 0; i < o.Upgrades && (i == 0 || time.Since(begun) < o.Budget); i++ {
		m, failed := upgrade(ctx, d, o.ReadyLimit, o.GoneLimit)
		if failed != nil {
			err = fmt.Errorf("upgrade %d of tool %q: %w", i+1, t.Name, failed)
			break
		}
		moments = append(moments, m)
		time.Sleep(o.Quiet) // a client that thinks meets it only now
	}
	if len(moments) > 0 { // many a tool cuts its clients only when the old process has had enough
		awaitEnd(ctx, moments, o.LastLimit)
		time.Sleep(o.Quiet)
	}
	samples := crowd.Stop()
	if len(moments) == 0 || ctx.Err() != nil {
		return d.Version, false, err
	}
	addMoments(set, t.Name, moments)
	addSamples(set, t, samples, moments)
	if handshakes, resumed := crowd.Resumed(); handshakes > 0 {
		set.Add(report.Key{Tool: t.Name, Metric: report.Resumed}, 100*float64(resumed)/float64(handshakes))
	}
	return d.Version, true, err
}

// errNotReady is the error of an upgrade of which nothing was seen in time.
var errNotReady = errors.New("no new process answers")

// upgrade upgrades once, and waits until the new process answers and the old one is gone.
func upgrade(ctx context.Context, d *tools.Daemon, readyLimit, goneLimit time.Duration) (m moment, err error) {
	all, old := d.PIDs(), d.Old()
	m.old, m.none = old, len(old) == 0
	serving, err := d.Newest(ctx)
	if err != nil {
		return m, err
	}
	time.Sleep(Window) // these looks take processors from the clients, and more of them where a tool has more processes
	m.signal = time.Now()
	asking, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	asked, gone := make(chan error, 1), make(chan time.Time, 1)
	go func() { asked <- d.Upgrade(asking, serving) }()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() { gone <- awaitGone(watching, old) }()
	if err := awaitReady(asking, d, all, serving); err != nil {
		return m, errors.Join(err, <-asked)
	}
	m.ready = time.Since(m.signal)
	if err := <-asked; err != nil {
		return m, err
	}
	select {
	case at := <-gone:
		m.gone = at.Sub(m.signal)
	case <-time.After(goneLimit - time.Since(m.signal)):
		m.gone, m.there = goneLimit, true
	}
	return m, ctx.Err()
}

// awaitEnd waits until the old processes of all upgrades are gone, for that long after the last one at most.
func awaitEnd(ctx context.Context, moments []moment, limit time.Duration) {
	ctx, cancel := context.WithDeadline(ctx, moments[len(moments)-1].signal.Add(limit))
	defer cancel()
	for _, m := range moments {
		awaitGone(ctx, m.old)
	}
}

// awaitGone returns when the processes had ended.
func awaitGone(ctx context.Context, pids []int) time.Time {
	for ctx.Err() == nil && !tools.AllGone(pids) {
		time.Sleep(time.Millisecond)
	}
	return time.Now()
}

// awaitReady asks on new connections until somebody answers who was not there before.
func awaitReady(ctx context.Context, d *tools.Daemon, old []int, serving string) error {
	before := map[string]bool{serving: true}
	for _, pid := range old {
		before[fmt.Sprint(pid)] = true
	}
	for ctx.Err() == nil {
		if who, err := d.Serving(ctx); err == nil && !before[who] {
			d.SetNewest(who)
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	d.SetNewest("") // it may come later
	return errNotReady
}
