package upgrade

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// settleWait is how long tableflip may take to see that this process is ready. It
// does so at once, but in a goroutine of its own, which may have to wait for a processor.
const settleWait = 10 * time.Second

// Successor is the next generation, which serves.
type Successor struct {
	PID        int
	Generation int

	// Dropped are the groups whose listening sockets it has not taken over: what
	// waits in their queues is this process's.
	Dropped []string

	// Settled is closed when it has ended its report, because it has told everybody
	// that it serves or has died, or at the latest after ten seconds.
	Settled <-chan struct{}

	// Fate, where this process stands by, has one value: nil when the successor has relieved this process of that,
	// which then calls Resign, or an *[Error] when it has died. After that this process can be upgraded again, and
	// Reopen its sockets; it must do that, or call Resign or Stop. No value comes after Resign. It is nil where this process does not stand
	// by, and where it has not all groups any more that it had.
	Fate <-chan error

	dialogue *dialogue
}

// Told reports whether it has said in its report that it has told everybody. Call it when Settled is closed.
func (s *Successor) Told() bool { return s.dialogue.rest.Ready }

// Upgrade starts the newest binary as the next generation and waits until it is
// ready. It calls prepare once, before the new process is started, so files may be passed there. prepare returns the generations
// that still live, oldest first, this one included. After nil this process is no longer the
// one that serves: it must stop accepting and drain, and no further Upgrade
// succeeds, unless the successor dies while this process stands by.
//
// watch is told in another goroutine when the successor runs, and when it has begun to serve on
// probation, beside this process.
//
// A failure is an *[Error], and the new process has ended or has been killed when
// Upgrade returns.
// Only one upgrade runs at a time; a second call waits for the first.
func (u *Upgrader) Upgrade(prepare func() []peers.Peer, watch Watcher) (*Successor, error) {
	if u.tf == nil {
		return nil, ErrNotSupported
	}
	u.upgrading.Lock()
	defer u.upgrading.Unlock()

	fault.At(fault.BeforeFork)
	u.bootstrap.empty() // before there is somebody who could read what an earlier successor left
	giveBack := u.lendArguments()
	defer giveBack()
	d, err := u.tell(prepare, lends(watch, giveBack))
	if err != nil {
		return nil, &Error{Stage: StageStart, Err: err}
	}
	defer d.end()
	u.offer(d.standby)
	defer u.offer(nil)
	from := u.stderrSize()
	ended := make(chan error, 1)
	go func() { ended <- u.startSuccessor() }()
	if late, endErr := u.decide(d, ended); endErr != nil {
		if d.startTime.Load() != 0 { // or another process could have its PID by now
			u.kill(d, false) // if it is not the process that was started, but one of a wrapper's: it must not serve beside this one
		}
		d.standby.resign()
		u.bootstrap.empty() // or an unread bootstrap message would keep the report open
		go runtime.GC()     // tableflip leaves its copies of the successor's two pipes to the collector (child.go, v1.2.3)
		return nil, u.explain(endErr, d.lastWords(), u.stderrSince(from), late)
	}
	u.leaveStderr()
	next, err := u.committed(d)
	if err == nil && u.standsBy() != nil {
		next.Fate = u.follow(d, next.PID, ended)
	}
	return next, err
}

// decide returns no error when the successor serves, and how it has ended when it has ended before; late says that its time was
// over. ended has what tableflip says: where this process stands by, that is nothing as long as the successor lives.
func (u *Upgrader) decide(d *dialogue, ended <-chan error) (late bool, err error) {
	decided := d.standby.decided()
	p := patience{opts: &u.opts}
	timer := time.NewTimer(u.opts.timeout())
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil && !p.over() && d.standby.isRelieved(heirWait) && u.commit(d.standby) {
				return false, nil // it has taken over, been replaced and ended while this process had no processor
			}
			return p.over() || isTimeout(err), u.judge(err, p.over())
		case <-decided:
			decided = nil
			if len(ended) == 0 && u.commit(d.standby) {
				return false, nil
			}
		case <-timer.C:
			if d.standby == nil {
				d.askWhy() // tableflip kills it, and it is tableflip that decides
				continue
			}
			wait := p.next(d.onTrial.Load())
			if p.over() {
				decided = nil // it may still come up while it is being killed: from now on only its end counts
				u.kill(d, p.gaveUp())
			} else {
				d.askWhy()
			}
			timer.Reset(wait)
		}
	}
}

// judge notes that a successor is ready which has told tableflip so, unless it is being killed.
func (u *Upgrader) judge(ended error, killed bool) error {
	if ended == nil && killed {
		return errors.New("it has told nobody but tableflip that it is ready")
	}
	if ended == nil {
		u.commit(nil)
	}
	return ended
}

// isTimeout recognises tableflip's own time limit (upgrader.go, v1.2.3).
func isTimeout(err error) bool { return err != nil && strings.HasSuffix(err.Error(), " timed out") }

// offer notes by which channel a successor says that it has taken over.
func (u *Upgrader) offer(s *standby) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.offered = s
}

// commit notes that the successor has taken over, and reports false when it is being killed, since Stop was called.
func (u *Upgrader) commit(s *standby) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s != nil && u.stopped && !u.spared {
		return false
	}
	u.last = u.nextLocked()
	u.standby, u.pending = s, s != nil
	return true
}

// kill kills a successor whose time is over. One that has not said who it is is looked for: it is not found before it runs its
// program, so kill is called until it has ended. As a last resort tableflip kills it, and will start no other.
func (u *Upgrader) kill(d *dialogue, last bool) {
	find := func() (*process.Process, error) { return process.FindChild(early.SuccessorEnv) }
	if pid := int(d.pid.Load()); pid != 0 {
		find = func() (*process.Process, error) { return process.Open(pid, d.startTime.Load()) }
	}
	p, err := find()
	if err == nil {
		err = p.Signal(os.Kill)
		p.Close()
	}
	if err != nil && last {
		u.tf.Stop()
	}
}

// standsBy returns the successor's standby, nil if this process does not stand by.
func (u *Upgrader) standsBy() *standby {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.standby
}

// follow waits for what becomes of a successor that serves.
func (u *Upgrader) follow(d *dialogue, pid int, ended <-chan error) <-chan error {
	fate := make(chan error, 1)
	go func() {
		died, ok := d.standby.outcome(ended, u.bootstrap.empty)
		if !ok {
			return
		}
		if died == nil {
			fate <- nil
			return
		}
		<-d.settled // its last words
		u.survive()
		u.copyStderr(u.stderrSize())
		fate <- diedError(pid, died, d.rest.Error)
	}()
	return fate
}

// survive has this process be one that can be upgraded again, and stopped.
func (u *Upgrader) survive() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending = false
	u.standby.resign()
	u.standby = nil
	if u.stopped {
		u.tf.Stop()
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
func (u *Upgrader) startSuccessor() error {
	began := time.Now()
	for hits := 0; ; {
		err := u.tf.Upgrade()
		switch took := time.Since(began); {
		case isUnsettled(err) && u.isReady() && took < settleWait:
			time.Sleep(time.Millisecond)
		case isBusy(err) && took < busyWait:
			time.Sleep(5 * time.Millisecond)
		case isHit(err) && u.bootstrap.isUnread() && hits < maxHits:
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

// hits are HUP and USR1 as tableflip names them.
var hits = []string{"hangup", "user defined signal 1"}

// isBusy recognises tableflip's text for a binary that is open for writing (process.go, v1.2.3).
func isBusy(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), ": "+syscall.ETXTBSY.Error())
}

// isHit recognises a successor that was ended by a signal which asks a daemon for something else.
func isHit(err error) bool {
	return err != nil && slices.ContainsFunc(hits, func(signal string) bool {
		return strings.HasSuffix(err.Error(), " exited: signal: "+signal)
	})
}

// isUnsettled recognises the two errors by their texts, as tableflip does not
// export them (upgrader.go, v1.2.3).
func isUnsettled(err error) bool {
	return err != nil && (err.Error() == "process is not ready yet" || err.Error() == "parent hasn't exited")
}

// committed returns the successor, which has said all that it had to say before it took over. One that has said nothing is no program with gozd but one with tableflip alone: it knows nothing of
// the groups, so this process had better go on. tableflip upgrades no more after that.
//
// The sockets that it has not taken over are closed here, and all of them where this process does not stand by. A process that
// has not all of its groups any more does not.
func (u *Upgrader) committed(d *dialogue) (*Successor, error) {
	said := d.words()
	if u.standsBy() == nil {
		d.standby.resign() // one that is not gozd's, or of an older version
	}
	if !said.Ready {
		return nil, &Error{Stage: StageReady, PID: said.PID, Err: errNotOurs}
	}
	next := &Successor{PID: said.PID, Dropped: u.dropped(said.Kept), Settled: d.settled, dialogue: d}
	u.mu.Lock()
	next.Generation = u.last
	u.mu.Unlock()
	if u.standsBy() == nil || len(next.Dropped) > 0 {
		u.Resign()
	}
	return next, nil
}

// dropped returns the groups whose sockets are not among those kept. A successor
// that does not say has perhaps kept all.
func (u *Upgrader) dropped(kept []string) []string {
	if kept == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var groups []string
	for _, s := range u.sockets {
		if !slices.Contains(kept, s.ID) {
			groups = append(groups, s.Group)
		}
	}
	return groups
}

// Check reports whether the next generation could be told what it has to know: a
// configuration with more sockets than fit into a message would fail every upgrade,
// and that is better known at the start.
func (u *Upgrader) Check(ancestors []peers.Peer) error {
	if u.tf == nil {
		return nil
	}
	manifest, _ := u.message(ancestors)
	_, err := encodeMessage(manifest, []string{fileSaid, fileSeen, fileStandby}, 0)
	return err
}

// message is what the next generation is told, and the files for it.
func (u *Upgrader) message(ancestors []peers.Peer) (Manifest, map[string]*os.File) {
	u.mu.Lock()
	defer u.mu.Unlock()
	files := maps.Clone(u.pass)
	if u.behind.stands() {
		files[fileOlder] = u.behind.conn
	}
	return Manifest{
		Version:    manifestVersion,
		Generation: u.nextLocked(),
		Timeout:    u.opts.timeout(),
		Probation:  max(u.opts.Probation, 0),
		PIDFile:    u.pidfile,
		Sockets:    slices.Clone(u.sockets),
		Ancestors:  ancestors,
		Tickets:    slices.Clone(u.tickets),
		Shadowed:   u.shadows,
		Managed:    u.managed,
		Storing:    u.storing,
		History:    u.history,
	}, files
}

// explain makes one error of what tableflip saw, what the process said, and what it wrote last to its standard error.
func (u *Upgrader) explain(seen error, said report.Outcome, wrote string, late bool) *Error {
	e := &Error{Stage: StageStart, PID: said.PID}
	if said.Probation {
		e.Stage = StageProbation
	}
	if said.Error != "" {
		e.Err = errors.New(said.Error)
		if said.Stage != "" {
			e.Stage = said.Stage
		}
		return e
	}
	switch {
	case said.Probation && late:
		e.Err = fmt.Errorf("no verdict after %v: %w", u.opts.limit(), seen)
	case late:
		e.Stage, e.Err = StageReady, fmt.Errorf("not ready after %v: %w", u.opts.timeout(), seen)
	case said.Ready:
		e.Stage, e.Err = StageReady, fmt.Errorf("it was ready and ended before it took over: %w", seen)
	case strings.HasSuffix(seen.Error(), " exited"):
		e.Err = fmt.Errorf("%w with status 0 before it was ready", seen)
	case said.PID == 0:
		e.Err = startError(u.binary(), seen)
	default:
		e.Err = seen
	}
	e.Err = report.Explain(e.Err, wrote)
	return e
}
