package listener

import (
	"context"
	"maps"
	"slices"
	"time"
)

// cutGrace is how long a connection may go on after its receiving side has been
// shut down at the deadline, or its client told otherwise: enough to answer a request that was already in the
// kernel's buffer. Somewhat arbitrary; a plain close would answer that request
// with a reset.
const cutGrace = time.Second

// Stats are a listener's counters at one moment.
type Stats struct {
	Open     int    // connections that are open now
	Parked   int    // of them, those that have moved here and wait for their first byte
	Accepted uint64 // connections accepted since the start
	In       uint64 // connections adopted from an older generation
	Out      uint64 // connections handed over to the successor
	Cut      int    // connections that Drain closed at its deadline
}

// Stats returns the listener's counters.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{
		Open:     len(l.conns),
		Parked:   min(int(l.parked.Load()), len(l.conns)), // one that ends is not open any more for a moment
		Accepted: l.total,
		In:       l.in,
		Out:      l.out,
		Cut:      l.cut,
	}
}

// Draining returns a channel that is closed when the listener stops accepting
// because its generation ends. The program's own Close does not close it.
func (l *Listener) Draining() <-chan struct{} { return l.current().draining }

// Result tells how a drain went.
type Result struct {
	Moved int           // connections handed over to the successor
	Ended int           // connections that ended by themselves
	Cut   int           // connections closed at the deadline
	Took  time.Duration // from the call of Drain to the last connection's end
}

// Since tells what has become of the connections that were open at an earlier moment,
// and of those that came since, as a Result without Took.
func (s Stats) Since(before Stats) Result {
	all := before.Open + int(s.Accepted-before.Accepted) + int(s.In-before.In)
	r := Result{Moved: int(s.Out - before.Out), Cut: s.Cut - before.Cut}
	r.Ended = max(all-s.Open-r.Cut-r.Moved, 0)
	return r
}

// StopAccepting closes the listening socket of this process and the Draining
// channel, and returns at once. A successor that shares the socket goes on
// accepting; nothing that waits in its queue is lost. Later calls do nothing.
func (l *Listener) StopAccepting() {
	if l.stopAccepting() {
		l.wakeIdle()
		l.closeQuiet()
	}
}

// stopAccepting reports whether it was the first to do so.
func (l *Listener) stopAccepting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.stopped = true
	switch {
	case l.shut:
	case l.alone:
		l.beginEmptyingLocked()
	default:
		// Its error has no consequence: the descriptor is gone either way.
		_ = l.inner.Close()
	}
	close(l.round.draining)
	l.checkDrainedLocked()
	return true
}

// wakeIdle has the readers of all connections see that the listener drains. Those
// who begin to read after that see it by themselves.
func (l *Listener) wakeIdle() {
	for _, c := range l.open() {
		if r := c.idleReader(); r != nil {
			r.Wake()
		}
	}
}

func (l *Listener) open() []socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.conns))
}

// checkDrainedLocked closes drained when nothing is left to wait for.
func (l *Listener) checkDrainedLocked() {
	if l.stopped && !l.emptying && !l.gone && l.inAccept == 0 && len(l.conns) == 0 {
		l.gone = true
		close(l.round.drained)
	}
}

// Drain stops accepting, waits until every connection is closed, and returns.
// When ctx is done first, what is still open is cut: its receiving side is shut
// down, so that a request that has already arrived is still answered, or what an adapter has left
// by AtDeadline is done, and a second later it is closed. Drain may be called again, also at the same time
// with another ctx: the earlier deadline counts, and each Result covers what
// ended while its Drain waited. It returns at once when the listener resumes.
func (l *Listener) Drain(ctx context.Context) Result {
	start, before := time.Now(), l.Stats()
	l.StopAccepting()
	return l.await(ctx, l.current(), start, before)
}

// AwaitDrained is Drain for a listener that has stopped accepting. For one that accepts, as it may
// have resumed meanwhile, it does nothing.
func (l *Listener) AwaitDrained(ctx context.Context) Result {
	return l.await(ctx, l.current(), time.Now(), l.Stats())
}

func (l *Listener) await(ctx context.Context, now *round, start time.Time, before Stats) Result {
	if !now.isDraining() {
		return Result{}
	}
	select {
	case <-now.drained:
	case <-now.resumed:
	case <-ctx.Done():
		l.cutOpen(now)
	}
	r := l.Stats().Since(before)
	r.Took = time.Since(start)
	return r
}

// cutOpen ends what is open, in two steps.
func (l *Listener) cutOpen(now *round) {
	for _, c := range l.cutting(now) {
		if f := c.deadline(); f != nil {
			go f() // it may write, and the client need not read
			continue
		}
		_ = c.CloseRead() // an error means that it has just ended
	}
	timer := time.NewTimer(cutGrace)
	defer timer.Stop()
	select {
	case <-now.drained:
	case <-timer.C:
		for _, c := range l.cutting(now) {
			_ = c.Close()
		}
	}
}

// cutting returns what is open, and counts it as cut, once for each connection
// however many drains find it. There is nothing to cut any more when the listener has resumed.
func (l *Listener) cutting(now *round) []socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.round != now {
		return nil
	}
	open := make([]socket, 0, len(l.conns))
	for c, counted := range l.conns {
		open = append(open, c)
		if !counted {
			l.conns[c] = true
			l.cut++
		}
	}
	return open
}
