package engine

import (
	"context"
	"sync"
	"time"
)

// term is one time of this generation to serve, and then to leave. There is another one only where its successor dies and it
// serves again; see resume.go.
type term struct {
	serves      context.Context // ends when this generation begins to leave
	stopServing context.CancelFunc
	hooksOver   context.Context // ends when nobody waits for OnReplaced and OnDrain
	endHooks    context.CancelFunc
	early       context.Context // ends when OnDrain need not wait: the connections are gone
	endEarly    context.CancelFunc
	skipped     context.Context // ends when OnDrain is not called any more, unless it has been
	skip        context.CancelFunc
	hurried     context.Context // ends when a drain that has begun gets the time of a stop
	hurry       context.CancelFunc

	onDrain       chan struct{} // has a value when it is decided whether OnDrain is called
	hooksReturned chan struct{} // closed when OnReplaced and OnDrain have returned
	left          chan struct{} // closed when nothing is accepted any more
	leaves        sync.Once     // closes it
	drained       chan struct{} // closed when its connections are gone
	resumed       chan struct{} // closed when another term begins
	decided       chan struct{} // closed when it is known what becomes of this generation, or that it does not stand by any more
	decide        sync.Once     // closes it
	err           error         // why the successor serves no longer; set before that

	drainage drainage
}

func newTerm() *term {
	t := &term{
		onDrain:       make(chan struct{}, 1),
		hooksReturned: make(chan struct{}),
		left:          make(chan struct{}),
		drained:       make(chan struct{}),
		resumed:       make(chan struct{}),
		decided:       make(chan struct{}),
	}
	t.serves, t.stopServing = context.WithCancel(context.Background())
	t.hooksOver, t.endHooks = context.WithCancel(context.Background())
	t.early, t.endEarly = context.WithCancel(context.Background())
	t.skipped, t.skip = context.WithCancel(context.Background())
	t.hurried, t.hurry = context.WithCancel(context.Background())
	return t
}

// limit ends after what timeout says for the reason of a drain, or, once the drain is hurried, for that of a stop.
func (t *term) limit(why reason, timeout func(reason) time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout(why))
	context.AfterFunc(t.hurried, func() {
		timer := time.AfterFunc(timeout(stopping), cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, cancel
}

// reason is why a drain has as much time as it has in the end.
func (t *term) reason(why reason) reason {
	if t.hurried.Err() != nil {
		return stopping
	}
	return why
}

// decideOnDrain reports true to the first who asks: whether OnDrain is called is decided once.
func (t *term) decideOnDrain() bool {
	select {
	case t.onDrain <- struct{}{}:
		return true
	default:
		return false
	}
}

// skipOnDrain has OnDrain not be called any more.
func (t *term) skipOnDrain() {
	t.decideOnDrain()
	t.skip()
}

func (t *term) beginLeft() { t.leaves.Do(func() { close(t.left) }) }

// know notes what has become of the successor.
func (t *term) know(err error) {
	t.decide.Do(func() {
		t.err = err
		close(t.decided)
	})
}

// fate is why the successor serves no longer; nil if it does or that is not known.
func (t *term) fate() error {
	select {
	case <-t.decided:
		return t.err
	default:
		return nil
	}
}

// endTerm is called when this generation has drained, and reports whether it may end. It may not when it serves again.
func (e *Engine) endTerm(t *term) bool {
	from, over := e.life.end(t)
	switch {
	case over && from == standingBy:
		e.super.notifyDraining(false) // the program may take long to end, and whoever starts the daemon again must not wait
		e.endStandby(t)
	case !over && from == resuming:
		<-t.decided
		return e.endTerm(t)
	}
	return over
}
