// Package engine is the life of one generation: it takes its groups, becomes ready, is upgraded, drains and ends. Package gozd is its face.
// Its state is in life.go; transitions.go has the phases, and all the steps from one to another, as docs/architecture.md does.
package engine

import (
	"log/slog"
	"net"
	"os/signal"
	"sync/atomic"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Engine is one generation of a daemon: the sockets of its groups, and its way
// from the start to the exit. Its methods are safe for concurrent use. There can
// be one in a process.
type Engine struct {
	startup
	milestones

	log      *slog.Logger
	conf     *config.Config
	hooks    hooks // and the options
	life     *life
	up       *upgrade.Upgrader
	groups   *groups.Set // nil until it has claimed them
	files    files
	super    supervisor
	control  controlSocket
	fds      fdReserve
	conns    connections
	attempts attempts
	drains   drainer
	signals  signals
}

// milestones are what happens once in the life of a generation.
type milestones struct {
	gate  *moment // Accept begins
	begun *moment // becomeReady has done all that it does, or has failed
	done  *moment // the generation has nothing left to do
	exit  exit    // and so the program is asked to end
}

// made says that this process has made a Daemon. A second one would have the first one's descriptors and signals, and a
// process that was detached would detach again, and so on.
var made atomic.Bool

// Made reports whether this process has made an Engine.
func Made() bool { return made.Load() }

// New makes this process a generation. With endProcess a process whose program does not take notice of its end exits by itself,
// and an error has been printed: it is ErrPrinted. When there is an error, nothing is left behind.
func New(opts Options, endProcess bool) (*Engine, error) {
	if made.Swap(true) {
		return nil, ErrSecond
	}
	e := &Engine{
		log: opts.Logger,
		milestones: milestones{
			gate: newMoment(), begun: newMoment(), done: newMoment(),
			exit: exit{asked: make(chan struct{}), endProcess: endProcess, release: newMoment()},
		},
		life:     newLife(nil),
		attempts: newAttempts(),
		hooks:    hooks{Options: &opts, busy: make(chan struct{}, 1)},
	}
	early.CatchGeneration() // before anything slow: a signal that comes too early must wait, not kill
	stage, err := (&start{Engine: e}).do()
	if err != nil {
		signal.Stop(early.Generation)
		e.report.Fail(stage, err)
		e.abandon(e)
		early.RestoreStderr(false) // whoever waits for this process writes on what it has written
		if endProcess {
			e.printFailure(stage, err)
			err = ErrPrinted
		}
		return nil, err
	}
	go e.awaitReady()
	e.signals.begin(e.act)
	go e.watchUpgrades()
	go e.super.awaitEnd(e.done.Done(), e.Stop)
	return e, nil
}

// Exit returns the channel that asks the program to end. It delivers one value
// when this generation has nothing left to do, waits at most a second for it to
// be received, and is closed then. A second later Accept on the group's listeners
// returns, so that what waits for a Serve to return can end too.
func (e *Engine) Exit() <-chan struct{} { return e.exit.asked }

// Err returns why this generation ended, once Exit is closed: nil after an
// upgrade or a stop, and otherwise the reason for which it never became ready.
func (e *Engine) Err() error { return e.life.failure() }

// Generation returns the number of this process in the line of generations,
// from 1.
func (e *Engine) Generation() int { return e.up.Manifest().Generation }

// PIDFile returns the absolute path of the PID file.
func (e *Engine) PIDFile() string { return e.conf.Daemon.PIDFile }

// Mode is that of a group.
func (e *Engine) Mode(group string) (config.Mode, error) { return e.groups.Mode(group) }

// Listen returns the listener of a group: for mode https one with TLS. OnResume takes anew what the program had closed.
func (e *Engine) Listen(group string) (net.Listener, error) {
	return e.groups.Take(group, e.life.is(resuming))
}

// ListenPacket is Listen for a group of mode udp.
func (e *Engine) ListenPacket(group string) (net.PacketConn, error) {
	return e.groups.TakePacket(group, e.life.is(resuming))
}

// ServeEnded is called when a handler's server has returned, which is how it should end once this generation drains.
func (e *Engine) ServeEnded(group, handler string, err error) {
	if !e.life.drains() {
		e.log.Error("group is not served any more", "group", group, "handler", handler, "error", err)
	}
}
