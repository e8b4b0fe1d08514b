package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func stopCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop " + aboutTarget,
		Short: "stop the daemon and wait until it has ended",
		Long: `Every generation of the daemon accepts nothing more, lets requests finish for stop_timeout, and ends.
gozdctl waits until all of them have ended: without --timeout for as long as the daemon itself allows a
stop to take.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.stop(cmd.Context(), pidfile)
		},
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait at most, as in 30s or 2m (default: as long as the daemon allows)")
	return a.onDaemon(cmd)
}

func (a *app) stop(ctx context.Context, pidfile string) error {
	began := a.now()
	var all []protocol.Generation
	g, err := a.act(ctx, pidfile, action{
		wait:  stopWait(pidfile),
		doing: "stopping: for at most " + span(stopWait(pidfile)) + "…",
		ask: func(ctx context.Context, c *client.Client) (*protocol.Answer, error) {
			first := answering(c)
			all = a.living(ctx, c, func(g protocol.Generation) bool { return isAnothers(g, pidfile, c.Owner()) })
			if ctx.Err() != nil {
				return nil, fmt.Errorf("pid %d: %w: %w", c.PID(), errNotAsked, context.Cause(ctx))
			}
			answer, err := c.Stop(ctx)
			if err != nil {
				return nil, err
			}
			a.out.Asked = &generation{answer.Generation, answer.PID}
			if first == (control.Process{}) {
				first = processOf(answer.PID, all)
			}
			return answer, control.AwaitEnd(ctx, pidfile, first, answer.Generation, processes(all)...)
		},
	})
	if err != nil {
		return err
	}
	took := a.now().Sub(began)
	a.out.Asked, a.out.Seconds = &g, ptr(took.Seconds())
	a.out.Ended = []generation{g}
	text := "stopped: " + g.name()
	for _, older := range all {
		if older.PID != g.PID {
			a.out.Ended = append(a.out.Ended, generation{older.Generation, older.PID})
		}
	}
	if n := len(a.out.Ended) - 1; n > 0 {
		text += " and " + count(n, "other generation")
	}
	a.say("%s ended after %s", text, span(took))
	return nil
}

// living returns the daemon's generations, or only some where it does not say, or they cannot be looked at, within a moment, and half of the operator's
// time: the stop is what was asked for.
func (a *app) living(ctx context.Context, c *client.Client, isAnothers func(protocol.Generation) bool) []protocol.Generation {
	ctx, cancel := moment(ctx)
	defer cancel()
	if a.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, a.timeout/2)
		defer cancel()
	}
	s, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	return own(ctx, s.Generations, isAnothers)
}

// own leaves out what is another user's process: the daemon says what its generations are, and nobody waits for others because it does. It can
// say the same again and again; each process is looked at once, and none when ctx has ended.
func own(ctx context.Context, all []protocol.Generation, isAnothers func(protocol.Generation) bool) (ours []protocol.Generation) {
	seen := make(map[int]bool)
	for _, g := range all {
		if ctx.Err() != nil {
			break
		}
		if !seen[g.PID] && !isAnothers(g) {
			ours = append(ours, g)
		}
		seen[g.PID] = true
	}
	return ours
}

func isAnothers(g protocol.Generation, pidfile string, owner int) bool {
	p, err := process.OpenOf(pidfile, owner, g.PID, g.StartTime)
	if err == nil {
		p.Close()
	}
	return errors.Is(err, process.ErrUntrusted)
}

// answering returns the process that answers, if it can be seen. It need not be among those that it names.
func answering(c *client.Client) control.Process {
	start, err := process.StartTime(c.PID())
	if err != nil || !c.Sees() {
		return control.Process{}
	}
	return control.Process{PID: c.PID(), StartTime: start}
}

// processOf returns the process with that PID, whose start time is not known where it is none of all.
func processOf(pid int, all []protocol.Generation) control.Process {
	p := control.Process{PID: pid}
	for _, g := range all {
		if g.PID == pid {
			p.StartTime = g.StartTime
		}
	}
	return p
}

func processes(all []protocol.Generation) []control.Process {
	var list []control.Process
	for _, g := range all {
		list = append(list, control.Process{PID: g.PID, StartTime: g.StartTime})
	}
	return list
}
