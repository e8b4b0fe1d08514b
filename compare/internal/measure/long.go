//go:build linux

package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// heldUpgrades is how many upgrades are asked for while a response goes on.
const heldUpgrades = 10

// held counts how many upgrades a tool does while one response goes on.
func held(ctx context.Context, e *tools.Env, t tools.Tool, o Options, set *report.Set) (err error) {
	d, err := t.Start(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cut, err := hold(ctx, d)
	if err != nil {
		return err
	}
	set.Add(report.Key{Tool: t.Name, Metric: report.Memory}, megabytes(d.Memory()))
	done := 0
	for i := range heldUpgrades {
		time.Sleep(o.Quiet) // some do not hear a signal while they are still at the last one
		if _, err := upgrade(ctx, d, o.HeldLimit, 0); err == nil {
			done++
		}
		if i == 0 && done == 1 { // here, and not under load, which it would disturb
			set.Add(report.Key{Tool: t.Name, Metric: report.Both}, megabytes(d.Memory()))
		}
	}
	set.Add(report.Key{Tool: t.Name, Metric: report.HeldDone}, float64(done))
	lost := 0.0
	if cut.Load() {
		lost = 1
	}
	set.Add(report.Key{Tool: t.Name, Metric: report.HeldLost}, lost)
	return nil
}

// hold begins a response that never ends, and notes if it does.
func hold(ctx context.Context, d *tools.Daemon) (cut *atomic.Bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.HTTP+"/held", nil)
	if err != nil {
		return nil, err
	}
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("hold a response: %w", err)
	}
	cut = new(atomic.Bool)
	go func() {
		_, _ = io.Copy(io.Discard, resp.Body) // it has no end that is right
		_ = resp.Body.Close()
		if ctx.Err() == nil {
			cut.Store(true)
		}
	}()
	return cut, nil
}

// streamCount is how many streams meet an upgrade.
const streamCount = 8

// streams counts how many hijacked connections an upgrade breaks.
func streams(ctx context.Context, e *tools.Env, t tools.Tool, o Options, set *report.Set) (err error) {
	d, err := t.Start(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	users := make([]*load.Hijack, streamCount)
	for i := range users {
		users[i], err = load.NewHijack(load.Target{Network: "tcp", Address: d.HTTP}, load.HijackOptions{})
		if err != nil {
			return err
		}
		defer func() { _ = users[i].Close() }()
		if _, err := users[i].Do(ctx); err != nil {
			return fmt.Errorf("stream %d: %w", i+1, err)
		}
	}
	time.Sleep(o.Quiet)
	if _, err := upgrade(ctx, d, o.ReadyLimit, o.GoneLimit); err != nil {
		return fmt.Errorf("with streams: %w", err)
	}
	broken := 0
	for _, u := range users {
		if _, err := u.Do(ctx); err != nil {
			broken++
		}
	}
	set.Add(report.Key{Tool: t.Name, Metric: report.Streams}, 100*float64(broken)/streamCount)
	return nil
}
