package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Load runs many clients at once, each in a goroutine, until it is stopped. It
// comes from [New]; its fields are set before Start. Two loads may share a
// recorder, to give kinds different settings.
type Load struct {
	// Interval is the time from the start of a client's exchange to the start
	// of its next. If zero, or if the exchange took longer, the next follows
	// at once. The clients of a kind start spread over one interval.
	Interval time.Duration

	// Timeout bounds each exchange of this package's clients, think time not
	// counted. If zero, their own bound counts, which is [DefaultTimeout] or a
	// little more. Clients of another make have to bound themselves.
	Timeout time.Duration

	// StopTimeout is how long Stop waits for the exchanges in flight before it
	// cuts them. If zero, 1 minute.
	StopTimeout time.Duration

	// Trace keeps each exchange, for Traced: about 80 bytes.
	Trace bool

	rec     *Recorder
	users   []*user
	begin   context.Context // ends when nothing new may begin
	end     context.CancelFunc
	cut     context.CancelCauseFunc // cuts the exchanges in flight
	running atomic.Int64
	stopped chan struct{} // closed when every user has finished
}

// New returns a load that records into rec, or into a recorder of its own if
// rec is nil.
func New(rec *Recorder) *Load {
	return &Load{rec: cmp.Or(rec, new(Recorder))}
}

// Recorder returns where the load records.
func (l *Load) Recorder() *Recorder { return l.rec }

// Add adds n clients of a kind, each made by newClient when the load runs, and
// made anew after each failure. An error of newClient counts as a failed
// exchange. Add must not be called after Start.
func (l *Load) Add(kind string, n int, newClient func() (Client, error)) {
	if l.stopped != nil {
		panic("load: Add after Start")
	}
	l.rec.Expect(kind)
	for i := range n {
		l.users = append(l.users, &user{load: l, kind: kind, newClient: newClient, share: float64(i) / float64(n)})
	}
}

// Start starts all clients. When ctx is done they begin nothing new, as after
// Stop, but finish what is in flight. A load starts only once.
func (l *Load) Start(ctx context.Context) {
	if l.stopped != nil {
		panic("load: Start called twice")
	}
	l.stopped = make(chan struct{})
	l.begin, l.end = context.WithCancel(ctx)
	var exchanges context.Context
	exchanges, l.cut = context.WithCancelCause(context.WithoutCancel(ctx))
	exchanges = withLoad(exchanges, loadInfo{stop: l.begin.Done(), timeout: l.Timeout})

	var done sync.WaitGroup
	for _, u := range l.users {
		done.Add(1)
		l.running.Add(1)
		go func() {
			defer done.Done()
			u.run(exchanges)
		}()
	}
	go l.finish(&done)
}

// finish waits for the users and releases the contexts.
func (l *Load) finish(done *sync.WaitGroup) {
	done.Wait()
	l.end()
	l.cut(nil)
	close(l.stopped)
}

// cutGrace is how long clients may take to notice that they are cut.
const cutGrace = 5 * time.Second

// Stop ends the load. No client begins another exchange, and Stop returns when
// each has finished the one in flight, so stopping costs none. Exchanges that
// outlast StopTimeout are cut and recorded as failed, and the error says so.
// Stop may be called again, and by several goroutines.
func (l *Load) Stop() error {
	if l.stopped == nil {
		return errors.New("load: Stop before Start")
	}
	l.end()
	limit := cmp.Or(l.StopTimeout, time.Minute)
	if within(l.stopped, limit) {
		return nil
	}
	err := fmt.Errorf("load: %d exchanges had not ended %v after Stop", l.running.Load(), limit)
	l.cut(err)
	if !within(l.stopped, cutGrace) {
		return fmt.Errorf("%w, and %d clients do not heed their context", err, l.running.Load())
	}
	return err
}

// within waits for done, but not longer than limit.
func within(done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
