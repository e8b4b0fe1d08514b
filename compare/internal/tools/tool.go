//go:build linux

// Package tools starts each tool as its own documentation says, upgrades it by the
// signal that it recommends, and ends it.
package tools

import (
	"context"
	"errors"
	"fmt"
)

// The kinds of clients.
const (
	New      = "new"       // a connection for each request
	Busy     = "busy"      // keep-alive, the next request a moment after the answer
	Naive    = "naive"     // keep-alive with think time, writes on what it has
	FINCheck = "fincheck"  // the same, looks for the connection's end first
	RTT10    = "rtt10"     // the same, looks 10 ms too early, as on a network of 10 ms
	H2       = "h2 POST"   // HTTP/2 POSTs that cannot be replayed
	TLS      = "tls"       // as fincheck, over TLS
	FCGI     = "fcgi busy" // POSTs by nginx and FastCGI with keep_conn
	FCGIIdle = "fcgi idle" // the same with think time
)

// All are the clients of a tool that serves HTTP itself or passes it on.
var All = []string{New, Busy, Naive, FINCheck, RTT10, H2, TLS}

// ErrMissing is wrapped by the error of a tool that cannot be had on this machine.
var ErrMissing = errors.New("not to be had here")

// Tool is a way to bring a new version of a program into service.
type Tool struct {
	Name  string   // short, as in the table
	How   string   // the set-up and the signal, for the notes
	Kinds []string // the clients that make sense
	Plain bool     // only a load is measured, no held connections and streams

	program string // of this module, if it is one
	start   func(context.Context, *Env, *Daemon) error
}

// Tools are all, in the order of the table.
func Tools() []Tool {
	return []Tool{
		restart, tableflipReadme, tableflipCareful, endless, overseer, grace,
		socketActivation, nginxBinary, nginxReload, haproxyReload, caddyReload, gozd,
		fcgiRestart, fcgiGozd,
	}
}

// Daemon is one running tool with all that belongs to it.
type Daemon struct {
	HTTP string // address without TLS
	TLS  string // address with TLS; empty if there is none

	// Version is what is measured.
	Version string

	dir       string
	upgrade   func(ctx context.Context, serving string) error
	stays     func() []int // processes that outlive an upgrade by design
	others    func() []int // processes that are not the tool's: what is behind it, or in front
	started   int          // the process that compare has started last
	newest    string       // who has come last, if that is known
	replaced  map[int]bool // of which an upgrade was asked for
	resources []func()     // released at the end
}

// Build builds the tool's program, which Start would do too. What is no program of
// this module takes no time.
func (t Tool) Build(ctx context.Context, e *Env) error {
	if t.program == "" {
		return nil
	}
	_, err := e.build(ctx, t.program)
	return err
}

// Start starts the tool in a directory of its own, and returns when it serves.
func (t Tool) Start(ctx context.Context, e *Env) (*Daemon, error) {
	d := &Daemon{stays: none, others: none, replaced: make(map[int]bool)}
	var err error
	if d.dir, err = e.newDir(); err != nil {
		return nil, err
	}
	err = t.start(ctx, e, d)
	if err == nil {
		err = d.awaitServing(ctx)
	}
	if err != nil {
		log := d.log()
		return nil, errors.Join(fmt.Errorf("tool %q: %w%s", t.Name, err, log), d.Stop())
	}
	return d, nil
}

func none() []int { return nil }

// Upgrade asks for an upgrade as the tool recommends; serving is what Newest has
// said just before. It may return before the upgrade is done, and without knowing
// whether it will be.
func (d *Daemon) Upgrade(ctx context.Context, serving string) error { return d.upgrade(ctx, serving) }

// Stop ends all processes of the tool, and returns when they are gone.
func (d *Daemon) Stop() error {
	err := endAll()
	for _, release := range d.resources {
		release()
	}
	return err
}
