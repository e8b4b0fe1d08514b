package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Stopping is a daemon that is to be stopped, with the processes that have to end before it has ended.
type Stopping struct {
	// Generations are those that live before the stop, or only some where the daemon does not say, or they cannot be looked at.
	Generations []protocol.Generation
	Answer      *protocol.Answer // of the generation that was asked; nil before Ask has returned without an error

	c          *Client
	first      control.Process // who is asked
	supervisor control.Process // its PID is 0 where there is none to wait for
}

// lookWait bounds how long is looked for the processes of a daemon that is to be stopped: the stop is what was asked for.
const lookWait = time.Second

// supervisorWait is how long a supervisor may take to end after the last generation. It takes milliseconds.
const supervisorWait = 5 * time.Second

// PrepareStop looks which processes the daemon has, for a second at most, and no longer than within. It asks for nothing else.
func (c *Client) PrepareStop(ctx context.Context, within time.Duration) *Stopping {
	ctx, cancel := context.WithTimeout(ctx, min(within, lookWait))
	defer cancel()
	s := &Stopping{c: c, first: c.answering()}
	status, err := c.Status(ctx)
	if err != nil {
		return s
	}
	s.Generations = own(ctx, status.Generations, c.isAnothers)
	s.supervisor = c.supervisor(status.Supervisor, os.Getpid())
	return s
}

// Ask is [Client.Stop].
func (s *Stopping) Ask(ctx context.Context) error {
	answer, err := s.c.Stop(ctx)
	if err != nil {
		return err
	}
	s.Answer = answer
	if s.first == (control.Process{}) {
		s.first = s.named(answer.PID)
	}
	return nil
}

// Await waits until the daemon has ended that was asked: all of its generations, and its supervisor. See control.AwaitEnd.
func (s *Stopping) Await(ctx context.Context) error {
	if err := control.AwaitEnd(ctx, s.c.pidfile, s.first, s.Answer.Generation, s.generations()...); err != nil {
		return err
	}
	return s.awaitSupervisor(ctx)
}

// Signal asks by a signal, where Ask has failed, and waits as Await does. See control.Stop.
func (s *Stopping) Signal(ctx context.Context) (pid int, err error) {
	pid, err = control.Stop(ctx, s.c.pidfile, s.generations()...)
	if err == nil {
		err = s.awaitSupervisor(ctx)
	}
	return pid, err
}

// awaitSupervisor waits for the last of all. The daemon says who that is: whoever it is, nobody waits for longer than a supervisor takes.
func (s *Stopping) awaitSupervisor(ctx context.Context) error {
	if s.supervisor.PID == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, supervisorWait)
	defer cancel()
	return control.AwaitGone(ctx, s.supervisor)
}

func (s *Stopping) generations() []control.Process {
	var all []control.Process
	for _, g := range s.Generations {
		all = append(all, control.Process{PID: g.PID, StartTime: g.StartTime, Is: generationName(g.Generation)})
	}
	return all
}

// named is the process with that PID, whose start time is not known where it is none of those that live.
func (s *Stopping) named(pid int) control.Process {
	for _, p := range s.generations() {
		if p.PID == pid {
			return p
		}
	}
	return control.Process{PID: pid}
}

func generationName(n int) string { return fmt.Sprintf("generation %d", n) }

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

func (c *Client) isAnothers(g protocol.Generation) bool {
	p, err := process.OpenOf(c.pidfile, c.owner, g.PID, g.StartTime)
	if err == nil {
		p.Close()
	}
	return errors.Is(err, process.ErrUntrusted)
}

// answering returns the process that answers, if it can be seen. It need not be among those that it names.
func (c *Client) answering() control.Process {
	start, err := process.StartTime(c.pid)
	if err != nil || !c.sees {
		return control.Process{}
	}
	return control.Process{PID: c.pid, StartTime: start, Is: generationName(c.generation)}
}

// supervisor returns the process of which the daemon says that it is its supervisor, which can be another user's: it keeps the rights that it was started
// with. So the kernel has to say that the one which answers descends from it. Whoever asks does not wait for its own ancestors, which may wait for it, nor for
// the first process of all.
func (c *Client) supervisor(pid, asker int) control.Process {
	if pid <= 1 || !c.sees || pid == asker || process.Descends(asker, pid) || !process.Descends(c.pid, pid) {
		return control.Process{}
	}
	start, err := process.StartTime(pid)
	if err != nil {
		return control.Process{}
	}
	return control.Process{PID: pid, StartTime: start, Is: "the supervisor"}
}
