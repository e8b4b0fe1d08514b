package engine

import (
	"errors"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// A generation that has been replaced stands by as long as it drains: it keeps the listening sockets, which cost nothing, and the lock.
// When its successor dies without having been asked to end, it serves again.

// standby is a generation that stands by behind its successor, in one of its terms.
type standby struct {
	*Engine
	t      *term
	access map[string]socket.Options // who may use each Unix socket, as it was before the successor came
}

// await waits for what becomes of the successor.
func (s *standby) await(outcome <-chan error) {
	if s.life.isStopRequested() { // it was asked to end while it was being replaced
		s.end()
		return
	}
	select {
	case died := <-outcome:
		if died == nil {
			s.noLonger()
		} else if _, mayServe := s.life.onIn(s.t, successorDied); mayServe {
			s.resume(died)
		}
	case <-s.groupClosed():
		s.noLonger()
	case <-s.t.decided.Done():
	}
}

// groupClosed returns a channel that is closed when the program has closed one of its groups, and has no way to take it again: then
// this generation cannot serve again. The program does so by Server.Shutdown, for one.
func (s *standby) groupClosed() <-chan struct{} {
	if s.hooks.OnResume != nil {
		return nil
	}
	closed := make(chan struct{})
	go func() {
		if name := s.groups.AwaitClosed(s.t.decided.Done()); name != "" {
			log := s.log.Warn
			if s.t.onDrain.Load() || !s.life.is(standingBy) { // OnDrain has been called for this, or the generation has been asked to end
				log = s.log.Debug
			}
			log("the program has closed a group: this generation would not serve again", "group", name)
			close(closed)
		}
	}()
	return closed
}

// standbyTime is how long a generation stands by at least after it has been replaced, also where its connections are gone before:
// a program that fails soon after it has begun to serve, because something else that it needs is missing, leaves nobody without service.
const standbyTime = 3 * time.Second

// standAWhile returns when a generation that stands by has done so for that long, or it is decided what becomes of it. Behind a successor that is ending
// it waits for that: one that writes a large core, for one, is dead for seconds before anybody learns of it.
func (l *life) standAWhile(t *term) {
	if !l.is(standingBy) || l.now() != t {
		return
	}
	began, _ := t.drainage.times()
	timer := time.NewTimer(time.Until(began.Add(standbyTime)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.decided.Done():
		return
	}
	if l.isSuccessorEnding() {
		<-t.decided.Done()
	}
}

// release lets go of what this generation has kept to serve again, and says so.
func (s *standby) release() {
	s.super.notifyDraining(false)
	s.end()
}

// end gives up the lock and the channel to the successor. Calling it again changes nothing.
func (s *standby) end() {
	s.files.Leave()
	s.up.EndStandby()
	s.t.decide(nil)
}

// endTerm is called when this generation has drained, and reports whether it may end. It may not when it serves again.
func (s *standby) endTerm() bool {
	from, over := s.life.end(s.t)
	switch {
	case over && from == standingBy:
		s.release() // the program may take long to end, and whoever starts the daemon again must not wait
	case !over && from == resuming:
		<-s.t.decided.Done()
		return s.endTerm()
	}
	return over
}

// noLonger is for a generation that nobody needs to stand by, or that could not serve again.
func (s *standby) noLonger() {
	if _, stood := s.life.onIn(s.t, standbyOver); stood {
		s.release()
	}
}

// errAskedToEnd is why a generation does not serve again that stands by.
var errAskedToEnd = errors.New("it has been asked to end")

// resume has this generation serve again, after its successor has died.
func (s *standby) resume(died error) {
	s.log.Error("the successor has died: this generation tries to serve again", "error", died)
	s.t.skipOnDrain()
	<-s.t.left.Done()
	err := s.checkLock() // first: the program may take back what a second instance would have
	if err == nil {
		err = s.hooks.mayResume(s.t)
	}
	if err == nil {
		s.files.restoring <- struct{}{} // before this generation serves, and can be upgraded
		if err = s.takeUp(died); err != nil {
			<-s.files.restoring
		}
	}
	if err != nil {
		s.log.Error("this generation cannot serve again: nobody serves", "error", err)
		lost := lostError(died, err)
		s.life.lose(lost)
		s.t.decide(lost)
		s.release() // the daemon can be started again
		return
	}
	s.takeBackFiles(died)
	s.log.Warn("serving again", "failure", died.Error()) // whoever reads that finds it by its files
	s.t.decide(died)
}

// How long a file system may take that holds the files by which the daemon is found. Nothing waits longer for it that clients need. A lock that
// somebody else has is tried for five seconds.
const (
	lockWait  = 7 * time.Second
	filesWait = 3 * time.Second
)

// checkLock fails where another daemon has the lock by now. A lock that cannot be made anew, or is not found out about in time, does not: nobody
// else serves, and this generation holds what it had.
func (s *standby) checkLock() error {
	taken := make(chan error, 1)
	go func() { taken <- s.files.retakeLock() }()
	timer := time.NewTimer(lockWait)
	defer timer.Stop()
	select {
	case err := <-taken:
		if runfiles.IsOthers(err) {
			return err
		}
	case <-timer.C:
	}
	return nil
}

// takeBackFiles has the files name this generation, and ends restoring then.
func (s *standby) takeBackFiles(died error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { <-s.files.restoring }()
		server.RemoveStale(s.PIDFile(), failedPID(died))
		s.control.open(s.life.now().serves) // it may have had no room for one before
		if !s.files.restore() {
			s.files.keepWriting(s.done.Done(), &s.attempts.slot, s.life)
		}
	}()
	timer := time.NewTimer(filesWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.log.Error("PID file and state file not restored yet")
	}
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

// failedPID is the process that an error of an upgrade is about; 0 if it is about none.
func failedPID(err error) int {
	if failed := (*upgrade.Error)(nil); errors.As(err, &failed) {
		return failed.PID
	}
	return 0
}

// takeUp does what has to be done for that, but for the files: clients need none of them.
func (s *standby) takeUp(died error) error {
	s.life.switching.Lock()
	defer s.life.switching.Unlock()
	sockets, err := s.groups.Reopen()
	if err != nil {
		return err
	}
	if name := s.groups.Closed(); name != "" {
		groups.Close(sockets)
		return fmt.Errorf("the program has closed group %s, and has not taken it again", name)
	}
	if !s.life.resume(died) {
		groups.Close(sockets)
		return errAskedToEnd
	}
	if err := s.groups.Resume(sockets); err != nil {
		s.log.Error("the program has closed a group: this generation ends", "error", err)
		go s.Quit()
	}
	s.groups.RestoreAccess(s.access)
	s.super.notifyFailed(died) // with the sockets, for systemd's store
	s.signals.forget()
	s.t.resumed.happen()
	s.fds.fill()
	go s.super.keepAlive(s.life)
	return nil
}
