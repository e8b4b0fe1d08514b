package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// action is something that a daemon does and answers.
type action struct {
	wait  time.Duration // without --timeout
	ask   func(ctx context.Context, c *client.Client) (*protocol.Answer, error)
	doing string // what a terminal shows meanwhile, if that may take a while
}

// act asks the daemon on its control socket, and returns the generation that was asked.
func (a *app) act(ctx context.Context, pidfile string, do action) (generation, error) {
	ctx, p := a.newPatience(ctx, do.wait)
	defer p.end()
	var answer *protocol.Answer
	meanwhile, pid := progress{s: a.stderr}, 0
	err := client.Ask(ctx, pidfile, func(c *client.Client) (err error) {
		pid = c.PID()
		if do.doing != "" {
			meanwhile.now(do.doing)
		}
		answer, err = do.ask(ctx, c)
		return err
	})
	meanwhile.end()
	switch {
	case err != nil && pid == 0:
		return generation{}, unasked(ctx, err)
	case errors.Is(err, errNotAsked):
		return generation{}, err
	case errors.As(err, new(*control.LeftError)):
		return generation{}, fmt.Errorf("pid %d: %w", pid, err)
	case err != nil:
		return generation{}, impatient(ctx, fmt.Sprintf("pid %d: the outcome is not known", pid), err)
	}
	a.out.acted = true
	return generation{Generation: answer.Generation, PID: answer.PID}, nil
}

// name is the generation for people.
func (g generation) name() string { return fmt.Sprintf("generation %d (pid %d)", g.Generation, g.PID) }

// moment bounds a question to a daemon by the time that is left.
func moment(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Second)
}
