package engine

import (
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// A generation that has been replaced stands by as long as it drains: it keeps the listening sockets, which cost nothing, and the lock.
// When its successor dies without having been asked to end, it serves again.

// standBy waits for what becomes of the successor.
func (e *Engine) standBy(t *term, next *upgrade.Successor, access map[string]socket.Options) {
	if e.life.isStopRequested() { // it was asked to end while it was being replaced
		e.endStandby(t)
		return
	}
	select {
	case died := <-next.Fate:
		if died == nil {
			e.standNoLonger(t)
		} else if _, mayServe := e.life.onIn(t, successorDied); mayServe {
			e.resume(t, died, access)
		}
	case <-e.groupClosed(t):
		e.standNoLonger(t)
	case <-t.decided.Done():
	}
}

// groupClosed returns a channel that is closed when the program has closed one of its groups, and has no way to take it again: then
// this generation cannot serve again. The program does so by Server.Shutdown, for one.
func (e *Engine) groupClosed(t *term) <-chan struct{} {
	if e.opts.OnResume != nil {
		return nil
	}
	closed := make(chan struct{})
	go func() {
		if name := e.groups.AwaitClosed(t.decided.Done()); name != "" {
			e.log.Warn("the program has closed a group: this generation would not serve again", "group", name)
			close(closed)
		}
	}()
	return closed
}

// standbyTime is how long a generation stands by at least after it has been replaced, also where its connections are gone before:
// a program that fails soon after it has begun to serve, because something else that it needs is missing, leaves nobody without service.
const standbyTime = 3 * time.Second

// standAWhile returns when a generation that stands by has done so for that long, or it is decided what becomes of it.
func (e *Engine) standAWhile(t *term) {
	if !e.life.is(standingBy) || e.life.now() != t {
		return
	}
	began, _ := t.drainage.times()
	timer := time.NewTimer(time.Until(began.Add(standbyTime)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.decided.Done():
	}
}

// resign lets go of what this generation has kept to serve again, and says so.
func (e *Engine) resign(t *term) {
	e.super.notifyDraining(false)
	e.endStandby(t)
}

// standNoLonger is for a generation that nobody needs to stand by, or that could not serve again.
func (e *Engine) standNoLonger(t *term) {
	if _, stood := e.life.onIn(t, standbyOver); stood {
		e.resign(t)
	}
}

// endStandby gives up the lock and the channel to the successor. Calling it again changes nothing.
func (e *Engine) endStandby(t *term) {
	e.files.Leave()
	e.up.Resign()
	t.know(nil)
}

// errAskedToEnd is why a generation does not serve again that stands by.
var errAskedToEnd = errors.New("it has been asked to end")

// resume has this generation serve again, after its successor has died.
func (e *Engine) resume(t *term, died error, access map[string]socket.Options) {
	e.log.Error("the successor has died: this generation serves again", "error", died)
	t.skipOnDrain()
	<-t.left.Done()
	err := e.retakeLock() // first: the program may take back what a second instance would have
	if err == nil {
		err = e.hooks.mayResume(t)
	}
	if err == nil {
		err = e.takeUp(t, died, access)
	}
	if err != nil {
		e.log.Error("this generation cannot serve again: nobody serves", "error", err)
		lost := lostError(died, err)
		e.life.lose(lost)
		t.know(lost)
		e.super.notifyDraining(false)
		e.endStandby(t) // the daemon can be started again
		return
	}
	t.know(died)
	e.log.Info("serving again", "failure", died.Error())
}

// lostError is the death of a successor after which nobody serves, since of why this generation cannot.
func lostError(died, why error) error {
	lost := &upgrade.Error{Stage: upgrade.StageLost, Err: died}
	if failed := (*upgrade.Error)(nil); errors.As(died, &failed) {
		lost.PID, lost.Err = failed.PID, failed.Err
	}
	lost.Err = fmt.Errorf("%w; its parent cannot serve again: %w", lost.Err, why)
	return lost
}

// retakeLock fails where another instance has the daemon's lock by now: two would run.
func (e *Engine) retakeLock() error {
	if err := e.files.Retake(); err != nil {
		return err
	}
	e.passLock()
	return nil
}

// takeUp does what has to be done for that. The order is that of becomeReady: the PID file first, the state file last.
func (e *Engine) takeUp(t *term, died error, access map[string]socket.Options) error {
	e.life.switching.Lock()
	defer e.life.switching.Unlock()
	sockets, err := e.groups.Reopen()
	if err != nil {
		return err
	}
	if name := e.groups.Closed(); name != "" {
		groups.Close(sockets)
		return fmt.Errorf("the program has closed group %s, and has not taken it again", name)
	}
	server.RemoveStale(e.PIDFile())
	if err := e.files.WritePID(); err != nil {
		e.log.Error("PID file not restored", "error", err) // it is tried again
	}
	if !e.life.resume(died) {
		groups.Close(sockets)
		return errAskedToEnd
	}
	if err := e.groups.Resume(sockets); err != nil {
		e.log.Error("the program has closed a group: this generation ends", "error", err)
		go e.Quit()
	}
	e.groups.RestoreAccess(access)
	e.super.notifyFailed(died) // with the sockets, for systemd's store
	e.signals.forget()
	t.resumed.happen()
	e.reserveFDs()
	e.groups.ResumeTickets()
	if err := e.restoreFiles(); err != nil {
		e.log.Error("PID file not restored", "error", err)
		e.keepWriting()
	}
	go e.keepAlive()
	go e.openControl() // it may have had no room for one before
	return nil
}
