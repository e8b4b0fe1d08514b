package upgrade

import (
	"errors"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// follow waits for what becomes of a successor that serves.
func (a *attempt) follow(pid int) <-chan error {
	d := a.dialogue
	outcome := make(chan error, 1)
	go func() {
		died, ok := a.outcome()
		if !ok {
			return
		}
		if died == nil {
			outcome <- nil
			return
		}
		<-d.reported // its last words
		a.succession.survive(a.tf.Stop)
		a.stderr.copyFrom(a.stderr.size())
		outcome <- diedError(pid, died, d.rest.Error)
	}()
	return outcome
}

// outcome waits for what becomes of the successor. An error is its end; ok is false when this process does not stand by any more.
func (a *attempt) outcome() (died error, ok bool) {
	s := a.dialogue.standby
	select {
	case <-s.over:
	case died = <-a.ended:
		if a.dialogue.startTime.Load() != 0 && !a.dialogue.isGone() {
			died = errWrapperEnded
		}
		a.awaitChannel()
	}
	if s.released.Load() || s.ended {
		return nil, s.ended && !s.released.Load()
	}
	if died == nil {
		died = a.collect()
	}
	return died, true
}

// awaitChannel waits for the end of the channel, after that of the process that tableflip has started.
//
// The successor's own successor may have the channel, or a process which the successor had forked, and that runs no other
// program. The latter keeps nobody from serving again. And what has ended may be a wrapper, while the successor lives: its end nobody tells.
//
// An heir has no longer than an upgrade may take: nobody else is left who would kill one that hangs, or stands still.
func (a *attempt) awaitChannel() {
	s := a.dialogue.standby
	look := time.NewTicker(successorWait)
	defer look.Stop()
	for {
		select {
		case <-s.over:
			return
		case <-look.C:
		}
		if !a.dialogue.isGone() {
			continue
		}
		a.bootstrap.empty()
		if s.hasNoHeir(a.opts.limit() + wordsWait) {
			_ = s.ours.Close()
		}
	}
}

// How a successor has ended whose status nobody knows.
var (
	errWrapper      = errors.New("its status is not known: the wrapper that had started it went on, and has been killed")
	errWrapperEnded = errors.New("its status is not known: the wrapper that had started it had ended before")
)

// collect returns how the successor has ended, after the end of the channel. The process that tableflip has started has ended at the same time, or it is a
// wrapper, which may have more to do. That one has a moment, and is killed then: this process could start no other successor as long as it lives.
func (a *attempt) collect() error {
	const clean = 3 * time.Second
	timer := time.NewTimer(clean)
	defer timer.Stop()
	select {
	case err := <-a.ended:
		return err
	case <-timer.C:
	}
	killed := a.dialogue.isGone() && a.killWrapper()
	err := <-a.ended
	if killed {
		return errWrapper
	}
	return err
}

// killWrapper reports whether there was one that could be killed.
func (a *attempt) killWrapper() bool {
	p, err := process.FindChild(early.SuccessorEnv)
	if err != nil {
		return false
	}
	defer p.Close()
	return p.Signal(os.Kill) == nil
}
