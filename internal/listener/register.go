package listener

import (
	"maps"
	"slices"
	"sync/atomic"
)

// register has the connections of a Listener, whose lock guards it.
type register struct {
	open    map[socket]bool // true once it has been counted as cut
	coming  int             // of what may bring connections: calls of the socket's Accept, and what Expect is for
	total   uint64          // accepted
	in, out uint64          // adopted, and handed over
	cut     int
	totals  *Totals
}

// Totals count what all generations of a daemon have had on a group.
type Totals struct {
	Accepted, In, Out, Cut atomic.Uint64 // as in Stats
}

func (r *register) isEmpty() bool { return r.coming == 0 && len(r.open) == 0 }

// accept notes what a call of the socket's Accept has returned.
func (r *register) accept(s socket) {
	r.coming--
	r.total++
	r.totals.Accepted.Add(1)
	r.open[s] = false
}

func (r *register) adopt(s socket) {
	r.in++
	r.totals.In.Add(1)
	r.open[s] = false
}

// remove counts a connection that has moved at once with its end, so that no drain takes it for another kind.
func (r *register) remove(s socket) {
	delete(r.open, s)
	if s.part().leaving.moved.Load() {
		r.out++
		r.totals.Out.Add(1)
	}
}

// cutAll returns what is open, and counts it as cut, once for each connection
// however many drains find it.
func (r *register) cutAll() []socket {
	open := make([]socket, 0, len(r.open))
	for s, counted := range r.open {
		open = append(open, s)
		if !counted {
			r.open[s] = true
			r.cut++
			r.totals.Cut.Add(1)
		}
	}
	return open
}

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
		Open:     len(l.conns.open),
		Parked:   min(int(l.arrivals.parked.Load()), len(l.conns.open)), // one that ends is not open any more for a moment
		Accepted: l.conns.total,
		In:       l.conns.in,
		Out:      l.conns.out,
		Cut:      l.conns.cut,
	}
}

// Totals returns those of Options.
func (l *Listener) Totals() *Totals { return l.conns.totals }

// Since tells what has become of the connections that were open at an earlier moment,
// and of those that came since, as a Result without Took.
func (s Stats) Since(before Stats) Result {
	all := before.Open + int(s.Accepted-before.Accepted) + int(s.In-before.In)
	r := Result{Moved: int(s.Out - before.Out), Cut: s.Cut - before.Cut}
	r.Ended = max(all-s.Open-r.Cut-r.Moved, 0)
	return r
}

// open returns the connections that are open.
func (l *Listener) open() []socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.conns.open))
}
