package engine

import (
	"log/slog"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
)

// life is where a generation is in its life, and what it knows of its successor: the only owner of both. Events change it, each in
// one step; nothing is done under its lock, and nobody waits for that longer than for a step.
type life struct {
	log *slog.Logger

	switching sync.Mutex // held while listeners stop to accept, and while they resume

	mu            sync.Mutex // guards what follows
	phase         phase
	entered       time.Time // when it was entered; a drain is one time
	since         time.Time // when this generation began to serve
	until         time.Time // the end of its probation
	why           reason    // of draining
	stopRequested bool      // it has been asked to end, and will not serve again
	lost          bool      // its successor has died, and it cannot serve again: nobody else removes the files
	err           error     // why it has never become one that serves
	term          *term
	successor     successor
	history       history
}

// successor is the next generation, once it serves. The zero value is none.
type successor struct {
	peers.Peer
	reportEnded <-chan struct{} // closed when everybody can know of it
	isEnding    func() bool     // reports whether it has died, or is about to
}

// history is what came of upgrades.
type history struct {
	failures    int      // since generation 1
	failure     string   // why the last one failed
	died        error    // the death of the last successor that died when it had taken over
	lastSeconds *float64 // that the last upgrade took which succeeded, perhaps the one that has brought up this generation; nil if there was none
}

// newLife is that of a process that begins. Its log may come later, but before the first event.
func newLife(log *slog.Logger) *life { return &life{log: log, entered: processBegan, term: newTerm()} }

// on does the step for an event, and reports in which phase it came, and whether the phase has changed. An event that is not in the
// table changes nothing: it is a mistake of ours, and tests look for the line in the log.
func (l *life) on(ev event) (from phase, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.onLocked(ev)
}

func (l *life) onLocked(ev event) (from phase, changed bool) {
	from = l.phase
	to, ok := next(from, ev)
	if !ok {
		l.log.Error("no such transition", "phase", from.String(), "event", ev.String())
		return from, false
	}
	if to == from {
		return from, false
	}
	if !from.drains() || !to.drains() {
		l.entered = time.Now()
	}
	l.phase = to
	return from, true
}

// onIn is on for an event of a term, which is none any more in the next.
func (l *life) onIn(t *term, ev event) (from phase, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term != t {
		return l.phase, false
	}
	return l.onLocked(ev)
}

// is reports whether the generation is in phase p.
func (l *life) is(p phase) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase == p
}

// drains reports whether this generation accepts nothing more.
func (l *life) drains() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase.drains()
}

// drainsSince reports whether this generation accepts nothing more, and did a moment ago.
func (l *life) drainsSince(moment time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase.drains() && time.Since(l.entered) < moment
}

// standsBy reports whether this generation would serve again.
func (l *life) standsBy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase == standingBy || l.phase == resuming
}

func (l *life) isStopRequested() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopRequested
}

// servesSince is when this generation began to serve, in its present term.
func (l *life) servesSince() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// isLost reports whether this generation's successor has died, and it could not serve again.
func (l *life) isLost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// now is the current term.
func (l *life) now() *term {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term
}

// beginProbation reports false where there is nothing to begin.
func (l *life) beginProbation(lasts time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, began := l.onLocked(probationBegins)
	if began {
		l.until = l.entered.Add(lasts)
	}
	return began
}

// beginServing reports false to all but the first. asked is when the upgrade began that has brought up this generation.
func (l *life) beginServing(asked time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, began := l.onLocked(becameReady)
	if !began {
		return false
	}
	l.since = l.entered
	if !asked.IsZero() {
		took := l.since.Sub(asked).Seconds()
		l.history.lastSeconds = &took
	}
	return true
}

// leave is on for an event that begins a drain, or hurries one.
func (l *life) leave(ev event, why reason) (from phase, t *term) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, changed := l.onLocked(ev)
	switch {
	case changed && from == serving:
		l.why = why
	case changed && from == onProbation:
		l.why = rolledBack
	}
	l.stopRequested = l.stopRequested || ev == stopAsked
	return from, l.term
}

// rollBack is on for an event that ends a probation. It reports whether it does.
func (l *life) rollBack(ev event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, changed := l.onLocked(ev)
	if changed {
		l.why = rolledBack
	}
	return changed
}

// replacedBy is the generation that serves in place of this one; nil if none does.
func (l *life) replacedBy() *peers.Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.successor.PID == 0 {
		return nil
	}
	next := l.successor.Peer
	return &next
}

// succeeded notes that the successor serves, after an upgrade that has taken so long.
func (l *life) succeeded(next successor, took time.Duration) {
	seconds := took.Seconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.successor, l.history.lastSeconds = next, &seconds
}

// upgrades is what came of this generation's upgrades.
func (l *life) upgrades() history {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.history
}

// failed notes why an upgrade has failed.
func (l *life) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history.failures++
	l.history.failure = err.Error()
}

// resume begins the next term, as if this generation had never been replaced, unless it has been asked to end.
func (l *life) resume(died error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopRequested {
		return false
	}
	l.onLocked(resumed)
	l.term, l.since = newTerm(), l.entered
	l.why, l.successor = "", successor{}
	l.history.failures++
	l.history.failure, l.history.died = died.Error(), died
	return true
}

// lose notes that this generation cannot serve again after its successor's death: nobody serves.
func (l *life) lose(died error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onLocked(resumeFailed)
	l.lost, l.history.died = true, died
}

// end is called when the term's connections are gone. It reports in which phase that was, and whether the generation may end. It
// may not while it resumes, nor in another term.
func (l *life) end(t *term) (from phase, over bool) { return l.onIn(t, drained) }

// diedLast is the successor's death after which this generation serves again, or nobody does; nil where there is none.
func (l *life) diedLast() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != serving && !l.lost {
		return nil
	}
	return l.history.died
}

// fail notes why this generation has never become one that serves.
func (l *life) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// failure is why this generation has never become one that serves; nil otherwise.
func (l *life) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// isSuccessorEnding reports whether the successor has died, or is about to, which this generation is told of only later.
func (l *life) isSuccessorEnding() bool {
	l.mu.Lock()
	isEnding := l.successor.isEnding
	l.mu.Unlock()
	return isEnding != nil && isEnding()
}

// awaitReport waits until the state file names the next generation, or that one has ended: whoever reads it
// never finds a generation that is gone in place of one that serves. There is nothing to wait for without one.
func (l *life) awaitReport() {
	l.mu.Lock()
	reportEnded := l.successor.reportEnded
	l.mu.Unlock()
	if reportEnded != nil {
		<-reportEnded
	}
}
