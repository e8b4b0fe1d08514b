package engine

import (
	"errors"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// controlled is the daemon as its control socket acts on it.
type controlled struct{ e *Engine }

var _ server.Daemon = controlled{}

// Self implements server.Daemon.
func (c controlled) Self() (pid, generation int) { return os.Getpid(), c.e.Generation() }

// Upgrade implements server.Daemon.
func (c controlled) Upgrade(notify func(protocol.Event)) error {
	return c.outcome(c.e.upgrade(notify), notify)
}

// DryRun implements server.Daemon.
func (c controlled) DryRun(notify func(protocol.Event)) error {
	return c.outcome(dryRun{c.e}.begin(notify), notify)
}

// outcome tells of the end that an upgrade has come to.
func (c controlled) outcome(err error, notify func(protocol.Event)) error {
	var failed *upgrade.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		notify(c.failed(failed))
		return nil
	case errors.Is(err, ErrNotSupported):
		return &server.RefusalError{Code: protocol.CodeUnsupported, Err: err}
	}
	if next := c.e.life.replacedBy(); next != nil {
		notify(protocol.Event{Type: protocol.Superseded, Generation: next.Generation, PID: next.PID, StartTime: next.StartTime, PIDFile: c.movedTo(true)})
		return nil
	}
	return &server.RefusalError{Code: protocol.CodeNotServing, Err: c.whyNotServing()}
}

// whyNotServing says why this generation, which has not been replaced, upgrades to no other.
func (c controlled) whyNotServing() error {
	if c.e.life.drains() {
		return errors.New("this generation has been asked to end")
	}
	return errors.New("this generation does not serve alone yet")
}

// failed says why an upgrade has failed.
func (c controlled) failed(failed *upgrade.Error) protocol.Event {
	next := c.e.up.Next()
	if failed.Stage == upgrade.StageServing || failed.Stage == upgrade.StageLost {
		next-- // it has been brought up, but not for long
	}
	return protocol.Event{
		Type: protocol.Failed, Generation: next, PID: failed.PID,
		Stage: failed.Stage, Error: failed.Err.Error(),
	}
}

// Rollback implements server.Daemon.
func (c controlled) Rollback() error {
	if err := c.e.Rollback(); err != nil {
		return &server.RefusalError{Code: protocol.CodeNoProbation, Err: err}
	}
	return nil
}

// Stop implements server.Daemon.
func (c controlled) Stop() (movedTo string) { return c.movedTo(c.e.leave(stopAsked, stopping)) }

// Quit implements server.Daemon.
func (c controlled) Quit() (movedTo string) { return c.movedTo(c.e.leave(stopAsked, quitting)) }

// movedTo is the PID file of the generation that has replaced this one, which has only been hurried, if that is another: who has asked finds
// nobody any more by this one's.
func (c controlled) movedTo(hurried bool) string {
	if next := c.e.life.replacedBy(); hurried && next != nil && next.PIDFile != c.e.PIDFile() {
		return next.PIDFile
	}
	return ""
}

// Reopen implements server.Daemon.
func (c controlled) Reopen() error { return c.e.reopen() }

// ReloadCerts implements server.Daemon.
func (c controlled) ReloadCerts() ([]string, error) {
	if c.e.life.drains() {
		return nil, &server.RefusalError{Code: protocol.CodeNotServing, Err: errors.New("this generation does not serve any more")}
	}
	defer c.e.fds.lend()() // clients may have taken all descriptors
	return c.e.groups.TLS().Renew()
}

// Draining implements server.Daemon.
func (c controlled) Draining() <-chan struct{} { return c.e.life.now().serves.Done() }

// Drained implements server.Daemon.
func (c controlled) Drained() <-chan struct{} { return c.e.life.now().drained.Done() }

// Progress implements server.Daemon: how far the drain is, and how it went when it is over, or that this generation serves again, or that
// nobody does.
func (c controlled) Progress() protocol.Event {
	if failed := (*upgrade.Error)(nil); errors.As(c.e.life.diedLast(), &failed) { // whoever follows the drain is told why it has ended so
		return c.failed(failed)
	}
	return c.e.drains.progress(c.e.life.now())
}
