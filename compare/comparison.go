//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/measure"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
)

// form is the short or the long one.
type form struct {
	measure.Options
	repeats int
	idle    []int
}

var (
	shortForm = form{
		Options: measure.Options{
			Upgrades: 4, Budget: 10 * time.Second, ReadyLimit: 20 * time.Second,
			GoneLimit: 6 * time.Second, LastLimit: 35 * time.Second, HeldLimit: 2 * time.Second, Quiet: 400 * time.Millisecond,
		},
		repeats: 1, idle: []int{100, 1_000, 10_000},
	}
	longForm = form{
		Options: measure.Options{
			Upgrades: 10, Budget: 40 * time.Second, ReadyLimit: 40 * time.Second,
			GoneLimit: 35 * time.Second, LastLimit: 65 * time.Second, HeldLimit: 3 * time.Second, Quiet: 600 * time.Millisecond,
		},
		repeats: 3, idle: []int{100, 1_000, 10_000, 50_000},
	}
)

// comparison is one that goes on.
type comparison struct {
	form
	env   *tools.Env
	out   io.Writer
	set   report.Set
	notes []report.Note
}

func measureAll(ctx context.Context, s settings, w io.Writer) (result report.Result, err error) {
	chosen, idle, err := choose(s.only)
	if err != nil {
		return result, err
	}
	dir, err := os.MkdirTemp("", "compare-work-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	env, err := tools.NewEnv(dir, s.source)
	if err != nil {
		return result, err
	}
	c := &comparison{form: longForm, env: env, out: w}
	if s.short {
		c.form = shortForm
	}
	if s.runs > 0 {
		c.repeats = s.runs
	}
	c.notes = c.about(s)
	for n := range c.repeats {
		for _, t := range chosen {
			if err := c.tool(ctx, t, n); err != nil {
				return result, err
			}
		}
		if idle {
			if err := c.idleAll(ctx); err != nil {
				return result, err
			}
		}
	}
	var order []string
	for _, t := range tools.Tools() {
		order = append(order, t.Name)
	}
	return report.Result{Rows: c.set.Rows(order), Notes: append(c.notes, unfair...)}, nil
}

// choose returns the tools that are named, and whether gozd with many connections is; all if none is.
func choose(names string) (chosen []tools.Tool, idle bool, err error) {
	if names == "" {
		return tools.Tools(), true, nil
	}
	left := strings.Split(names, ",")
	take := func(name string) bool {
		before := len(left)
		left = slices.DeleteFunc(left, func(n string) bool { return n == name })
		return len(left) < before
	}
	for _, t := range tools.Tools() {
		if take(strings.ReplaceAll(t.Name, ",", "")) {
			chosen = append(chosen, t)
		}
	}
	idle = take("idle")
	if len(left) > 0 {
		return nil, false, fmt.Errorf("-only: there is no tool %q", left[0])
	}
	return chosen, idle, nil
}

// tool measures one tool. One that fails is noted, and the rest goes on.
func (c *comparison) tool(ctx context.Context, t tools.Tool, repeat int) error {
	begun := time.Now()
	if slices.ContainsFunc(c.notes, func(n report.Note) bool { return n.Tool == t.Name && n.About == report.Skipped }) {
		return nil
	}
	version, err := measure.Tool(ctx, c.env, t, c.Options, &c.set)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if repeat == 0 {
		c.note(t.Name, report.How, t.How)
		if version != "" {
			c.note(t.Name, report.Version, version)
		}
	}
	outcome := "measured"
	switch {
	case errors.Is(err, tools.ErrMissing):
		outcome = "left out"
		c.note(t.Name, report.Skipped, oneLine(err))
	case err != nil:
		outcome = oneLine(err)
		c.note(t.Name, report.Failed, fmt.Sprintf("run %d: %s", repeat+1, outcome))
	}
	_, err = fmt.Fprintf(c.out, "%d/%d %s: %s, %.1f s\n", repeat+1, c.repeats, t.Name, outcome, time.Since(begun).Seconds())
	return err
}

// idleAll upgrades gozd with more and more idle connections.
func (c *comparison) idleAll(ctx context.Context) error {
	for _, secure := range []bool{false, true} {
		for _, wanted := range c.idle {
			n := measure.Most(wanted)
			if n < wanted {
				c.note("", report.Run, fmt.Sprintf("%d idle connections are more than this machine's limit of open files allows: %d instead", wanted, n))
			}
			begun := time.Now()
			err := measure.Idle(ctx, c.env, n, secure, &c.set)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			outcome := "measured"
			if err != nil {
				outcome = oneLine(err)
				c.note("gozd", report.Failed, fmt.Sprintf("%d idle connections, TLS %v: %s", n, secure, outcome))
			}
			if _, err := fmt.Fprintf(c.out, "gozd, %d idle connections, TLS %v: %s, %.1f s\n", n, secure, outcome, time.Since(begun).Seconds()); err != nil {
				return err
			}
		}
	}
	return nil
}

// note notes what has not been noted already by an earlier run.
func (c *comparison) note(tool, about, text string) {
	if n := (report.Note{Tool: tool, About: about, Text: text}); !slices.Contains(c.notes, n) {
		c.notes = append(c.notes, n)
	}
}

// oneLine is an error for a note.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if _, why, ok := strings.Cut(text, tools.ErrMissing.Error()+": "); ok {
		text = why
	}
	return text[:min(len(text), 300)]
}
