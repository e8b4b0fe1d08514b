package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// moment is something that happens once.
type moment struct {
	once sync.Once
	c    chan struct{}
}

func newMoment() *moment { return &moment{c: make(chan struct{})} }

// happen is it. Later calls do nothing.
func (m *moment) happen() { m.once.Do(func() { close(m.c) }) }

// Done is closed when it has happened.
func (m *moment) Done() <-chan struct{} { return m.c }

func (m *moment) has() bool {
	select {
	case <-m.c:
		return true
	default:
		return false
	}
}

// term is one time of this generation to serve, and then to leave. There is another one only where its successor dies and it
// serves again; see resume.go.
type term struct {
	serves      context.Context // ends when this generation begins to leave
	stopServing context.CancelCauseFunc

	expedited *moment // a drain that has begun, or is about to, gets the time of a stop
	left      *moment // nothing is accepted any more
	early     *moment // OnDrain need not wait: the connections are gone
	drained   *moment // all is over that a drain waits for
	decided   *moment // it is known what becomes of this generation, or that it does not stand by any more
	resumed   *moment // another term begins

	skipped       *moment // OnDrain is not called any more, unless it has been
	hooksReturned *moment // OnReplaced and OnDrain have returned; runs of Only may go on
	hooksOver     *moment // nobody waits for them any more

	onDrain atomic.Bool // it is decided whether OnDrain is called
	err     error       // why the successor serves no longer; set before decided

	drainage drainage
}

func newTerm() *term {
	t := &term{
		expedited: newMoment(), left: newMoment(), early: newMoment(), drained: newMoment(), decided: newMoment(), resumed: newMoment(),
		skipped: newMoment(), hooksReturned: newMoment(), hooksOver: newMoment(),
	}
	t.serves, t.stopServing = context.WithCancelCause(context.Background())
	return t
}

// limit ends after what timeout says for the reason of a drain, or, once the drain is hurried, for that of a stop.
func (t *term) limit(why reason, timeout func(reason) time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout(why))
	go func() {
		select {
		case <-t.expedited.Done():
			timer := time.AfterFunc(timeout(stopping), cancel)
			context.AfterFunc(ctx, func() { timer.Stop() })
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// reason is why a drain has as much time as it has in the end.
func (t *term) reason(why reason) reason {
	if t.expedited.has() {
		return stopping
	}
	return why
}

// decideOnDrain reports true to the first caller: whether OnDrain is called is decided once.
func (t *term) decideOnDrain() bool { return t.onDrain.CompareAndSwap(false, true) }

// skipOnDrain has OnDrain not be called any more.
func (t *term) skipOnDrain() {
	t.decideOnDrain()
	t.skipped.happen()
}

// decide notes what has become of the successor. It is known once.
func (t *term) decide(err error) {
	t.decided.once.Do(func() {
		t.err = err
		close(t.decided.c)
	})
}

// outcome is why the successor serves no longer; nil if it does or that is not known.
func (t *term) outcome() error {
	if !t.decided.has() {
		return nil
	}
	return t.err
}

// endDrain notes how the drain went, and tells those who follow it.
func (t *term) endDrain(end protocol.Event) {
	t.drainage.over(end)
	t.drained.happen()
}
