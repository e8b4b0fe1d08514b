package upgrade

import (
	"errors"
	"os"
	"runtime"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/allowance"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// settleWait is how long tableflip may take to see that this process is ready. It
// does so at once, but in a goroutine of its own, which may have to wait for a processor.
const settleWait = 10 * time.Second

// attempt is one upgrade: a successor is started, becomes ready or fails, and, where this process stands by, is followed until its end.
type attempt struct {
	opts       *Options
	tf         tableflipUpgrader
	bootstrap  *bootstrapConn
	succession *succession
	stderr     *stderrFile
	binary     string // which the successor is started from
	dialogue   *dialogue
	from       int64 // where in the file for the standard error the successor begins
	patience   patience
	ended      chan error // what tableflip says: where this process stands by, that is nothing as long as the successor lives
}

// run returns nil when the successor has taken over. Otherwise it has ended.
func (a *attempt) run() error {
	go func() { a.ended <- a.startSuccessor() }()
	late, err := a.decide()
	if err == nil {
		return nil
	}
	d := a.dialogue
	if d.startTime.Load() != 0 { // or another process could have its PID by now
		a.kill(false) // if it is not the process that was started, but one of a wrapper's: it must not serve beside this one
	}
	d.standby.release()
	a.bootstrap.empty() // or an unread bootstrap message would keep the report open
	go runtime.GC()     // tableflip leaves its copies of the successor's two pipes to the collector (child.go, v1.2.3)
	return a.explain(err, d.finalReport(), a.stderr.since(a.from), late)
}

// lookAgain is how often the time of an upgrade is looked at: where this process and the successor have stood still, no more of it is gone.
const lookAgain = time.Second

// decide returns no error when the successor serves, and how it has ended when it has ended before; late says that its time was
// over.
func (a *attempt) decide() (late bool, err error) {
	d := a.dialogue
	decided := d.standby.decided()
	p := &a.patience
	left := allowance.New(a.opts.timeout(), lookAgain)
	timer := time.NewTimer(left.Next())
	defer timer.Stop()
	for {
		select {
		case err := <-a.ended:
			if err != nil && !p.over() && a.hasTakenOver(err) {
				return false, nil
			}
			return p.over() || isTimeout(err), a.judge(err, p.over())
		case <-decided:
			decided = nil
			if len(a.ended) == 0 && a.succession.commit(d.standby) {
				return false, nil
			}
		case <-timer.C:
			switch {
			case !left.IsOver():
			case d.standby == nil:
				d.askWhy() // tableflip kills it, and it is tableflip that decides
				continue
			case decided != nil && d.standby.hasTaken():
				left.Extend(killPause) // it is about to be decided
			default:
				left = allowance.New(p.next(d.onProbation.Load()), lookAgain)
				if p.over() {
					decided = nil // it may still come up while it is being killed: from now on only its end counts
					a.kill(p.gaveUp())
				} else {
					d.askWhy()
				}
			}
			timer.Reset(left.Next())
		}
	}
}

// hasTakenOver reports whether the successor serves, or its own one, although the process that was started has ended: that was a wrapper, or this process had
// no processor meanwhile.
func (a *attempt) hasTakenOver(ended error) bool {
	d := a.dialogue
	if !d.standby.hasTaken() {
		return false
	}
	d.awaitIdentity() // it has said that before
	if d.startTime.Load() != 0 && !d.isGone() {
		committed := a.succession.commit(d.standby)
		if committed {
			a.ended <- ended // for whoever follows it
		}
		return committed
	}
	return d.standby.isEnded(successorWait) && a.succession.commit(d.standby)
}

// judge notes that a successor is ready which has told tableflip so, unless it is being killed.
func (a *attempt) judge(ended error, killed bool) error {
	if ended == nil && killed {
		return errors.New("it has told nobody but tableflip that it is ready")
	}
	if ended == nil {
		a.succession.commit(nil)
	}
	return ended
}

// kill kills a successor whose time is over. One that has not said who it is is looked for: it is not found before it runs its
// program, so kill is called until it has ended. As a last resort tableflip kills it, and will start no other.
func (a *attempt) kill(last bool) {
	find := func() (*process.Process, error) { return process.FindChild(early.SuccessorEnv) }
	if pid := int(a.dialogue.pid.Load()); pid != 0 {
		find = func() (*process.Process, error) { return process.Open(pid, a.dialogue.startTime.Load()) }
	}
	p, err := find()
	if err == nil {
		err = p.Signal(os.Kill)
		p.Close()
	}
	if err != nil && last {
		a.tf.Stop()
	}
}

// startSuccessor returns when the successor is ready or has failed, and tries again where that is nobody's fault:
//
//   - An upgrade may be asked for right after Ready, or even before: tableflip's own goroutine has
//     then perhaps not yet seen that this process is ready and, by the relay, its
//     parent gone. It refuses without having done anything, and tells nobody when it
//     is ready itself.
//   - Whatever this program forks holds, until it runs another program, each file that was open for writing: a binary that has
//     just been written is busy for that long.
//   - A signal to all processes of the daemon, as logrotate and "killall -HUP" send them, ends a process that runs for less than a
//     millisecond and handles none yet. It has not read its bootstrap message.
func (a *attempt) startSuccessor() error {
	if err := awaitReadable(a.binary, a.opts.timeout()); err != nil {
		return err
	}
	began := time.Now()
	for hits := 0; ; {
		err := a.tf.Upgrade()
		switch took := time.Since(began); {
		case isUnsettled(err) && a.succession.isReady() && took < settleWait:
			time.Sleep(time.Millisecond)
		case isBusy(err) && took < busyWait:
			time.Sleep(5 * time.Millisecond)
		case isHit(err) && a.bootstrap.isUnread() && hits < maxHits:
			hits++
		default:
			return err
		}
	}
}

const (
	// busyWait is how long a binary may be busy before somebody is writing it. A fork takes some milliseconds.
	busyWait = 300 * time.Millisecond

	// maxHits is how many successors in a row a signal may end in their first millisecond.
	maxHits = 5
)
