package engine

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// lastWords is how long a generation that has nothing else left to do waits until those who
// have asked it something on its control socket have read the answer.
const lastWords = time.Second

// controlSocket is this generation's. The zero value is not open yet.
type controlSocket struct {
	mu   sync.Mutex     // guards what follows
	srv  *server.Server // nil if it is not open
	over bool           // it is too late to open it
}

// controlAgain is how long after there was no room for a control socket it is tried again.
const controlAgain = 500 * time.Millisecond

// openControl opens the control socket, once this generation serves. The daemon does its
// work without one. If the disk is full, or clients have taken all descriptors, it is tried again until there is room.
func (e *Engine) openControl() {
	if !e.up.Supported() {
		return
	}
	err := e.tryControl()
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		return
	}
	e.log.Warn("no control socket: gozdctl cannot ask this generation", "error", err)
	tick := time.NewTicker(controlAgain)
	defer tick.Stop()
	for isShort(err) {
		select {
		case <-tick.C:
		case <-e.life.now().serves.Done():
			return
		}
		err = e.tryControlInRoom()
	}
	if err == nil {
		e.log.Info("control socket opened at last")
	}
}

// tryControl does nothing when it is too late.
func (e *Engine) tryControl() (err error) {
	c := &e.control
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && c.srv == nil {
		c.srv, err = server.Open(controlled{e}, server.Options{PIDFile: e.PIDFile(), Log: e.log, Room: e.lendFDs})
	}
	return err
}

func (e *Engine) tryControlInRoom() error {
	defer e.lendFDs()()
	return e.tryControl()
}

// isShort recognises what passes by itself.
func isShort(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// leaveControl lets nobody in any more, and removes the socket's file. Answers go on.
func (e *Engine) leaveControl() {
	c := &e.control
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.srv == nil {
		return
	}
	if err := c.srv.Leave(); err != nil {
		e.log.Warn("control socket not removed", "error", err)
	}
}

// closeControl is leaveControl, and gives answers that have begun a moment to end.
func (e *Engine) closeControl() {
	e.leaveControl()
	e.control.mu.Lock()
	srv := e.control.srv
	e.control.mu.Unlock()
	if srv == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	_ = srv.Close(ctx) // Leave has said what there was to say
}

// controlled is the daemon as its control socket acts on it.
type controlled struct{ *Engine }

var _ server.Daemon = controlled{}

// Self implements server.Daemon.
func (c controlled) Self() (pid, generation int) { return os.Getpid(), c.Generation() }

// Upgrade implements server.Daemon.
func (c controlled) Upgrade(tell func(protocol.Event)) error {
	err := c.upgrade(tell)
	var failed *upgrade.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		tell(c.failedEvent(failed))
		return nil
	case errors.Is(err, ErrNotSupported):
		return &server.RefusalError{Code: protocol.CodeUnsupported, Err: err}
	}
	if next := c.life.replacedBy(); next != nil {
		tell(protocol.Event{Type: protocol.Superseded, Generation: next.Generation, PID: next.PID, StartTime: next.StartTime})
		return nil
	}
	return &server.RefusalError{Code: protocol.CodeNotServing, Err: c.whyNotServing()}
}

// whyNotServing says why this generation, which has not been replaced, upgrades to no other.
func (e *Engine) whyNotServing() error {
	if e.life.drains() {
		return errors.New("this generation has been asked to end")
	}
	return errors.New("this generation does not serve alone yet")
}

// Rollback implements server.Daemon.
func (c controlled) Rollback() error {
	if err := c.Engine.Rollback(); err != nil {
		return &server.RefusalError{Code: protocol.CodeNoProbation, Err: err}
	}
	return nil
}

// Reopen implements server.Daemon.
func (c controlled) Reopen() error { return c.reopen() }

// Draining implements server.Daemon.
func (c controlled) Draining() <-chan struct{} { return c.life.now().serves.Done() }

// Drained implements server.Daemon.
func (c controlled) Drained() <-chan struct{} { return c.life.now().drained.Done() }

// Progress implements server.Daemon.
func (c controlled) Progress() protocol.Event { return c.progress() }

// Status implements server.Daemon.
func (c controlled) Status(ctx context.Context, alone bool) *protocol.Status {
	return c.status(ctx, alone)
}

// failedEvent says why an upgrade has failed.
func (e *Engine) failedEvent(failed *upgrade.Error) protocol.Event {
	return protocol.Event{
		Type: protocol.Failed, Generation: e.failedGeneration(failed), PID: failed.PID,
		Stage: failed.Stage, Error: failed.Err.Error(),
	}
}

// failedGeneration is the number of the generation that an upgrade has not brought up, or not for long.
func (e *Engine) failedGeneration(failed *upgrade.Error) int {
	if failed.Stage == upgrade.StageServing || failed.Stage == upgrade.StageLost {
		return e.up.Next() - 1
	}
	return e.up.Next()
}
