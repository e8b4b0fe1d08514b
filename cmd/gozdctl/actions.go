package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// action is something that a daemon does and answers, in both ways of asking.
type action struct {
	wait     time.Duration // without --timeout
	ask      func(ctx context.Context, c *client.Client) (*protocol.Answer, error)
	instead  string // what is done by signals, for people
	bySignal func(ctx context.Context, pidfile string) (generation, error)
}

// act asks the daemon on its control socket, or by signals where it has none, and
// returns the generation that was asked.
func (a *app) act(ctx context.Context, pidfile string, do action) (generation, error) {
	ctx, p := a.newPatience(ctx, do.wait)
	defer p.end()
	c, err := client.Dial(ctx, pidfile)
	if errors.Is(err, client.ErrNoSocket) {
		a.fallBack(err, do.instead)
		g, err := do.bySignal(ctx, pidfile)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
		a.out.acted = err == nil
		return g, err
	}
	if err != nil {
		return generation{}, err
	}
	defer c.Close()
	answer, err := do.ask(ctx, c)
	if err != nil {
		return generation{}, impatient(ctx, fmt.Sprintf("pid %d: the outcome is not known", c.PID()), err)
	}
	a.out.acted = true
	return generation{Generation: answer.Generation, PID: answer.PID}, nil
}

// name is the generation for people. A daemon that was asked by a signal has not said its number.
func (g generation) name() string {
	if g.Generation == 0 {
		return fmt.Sprintf("pid %d", g.PID)
	}
	return fmt.Sprintf("generation %d (pid %d)", g.Generation, g.PID)
}

// bySignal is an action that only says whom it has signalled.
func bySignal(do func(pidfile string) (int, error)) func(context.Context, string) (generation, error) {
	return func(_ context.Context, pidfile string) (generation, error) {
		pid, err := do(pidfile)
		return generation{PID: pid}, err
	}
}

// moment bounds a question to a daemon by the time that is left.
func moment(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Second)
}
