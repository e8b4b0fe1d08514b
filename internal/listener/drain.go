package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// cutGrace is how long a connection may go on after its receiving side has been
// shut down at the deadline, or its client told otherwise: enough to answer a request that was already in the
// kernel's buffer. Somewhat arbitrary; a plain close would answer that request
// with a reset.
const cutGrace = time.Second

// Result tells how a drain went.
type Result struct {
	Moved int           // connections handed over to the successor
	Ended int           // connections that ended by themselves
	Cut   int           // connections closed at the deadline
	Took  time.Duration // from the call of Drain to the last connection's end
}

// StopAccepting closes the listening socket of this process and the Draining
// channel, and returns at once. A successor that shares the socket goes on
// accepting; nothing that waits in its queue is lost. Later calls do nothing.
func (l *Listener) StopAccepting() {
	l.mu.Lock()
	now, first := l.round, !l.round.draining.isSet()
	if first {
		if l.door.state == doorOpen {
			l.door.leave(l.endEmptying)
		}
		l.round.draining.set()
		l.checkDrainedLocked()
	}
	l.mu.Unlock()
	if first {
		l.wakeInTurn(now)
		closeQuiet(l)
		countStays(l)
	}
}

// leave closes the socket, or begins to empty its queue, and calls end when that must be over.
func (d *door) leave(end func()) {
	if !d.queue.alone {
		_ = d.close()
		return
	}
	d.beginEmptying()
	time.AfterFunc(EmptyingLimit, end)
}

// checkDrainedLocked sets the round's drained when nothing is left to wait for.
func (l *Listener) checkDrainedLocked() {
	if l.round.draining.isSet() && l.door.state == doorShut && l.conns.isEmpty() {
		l.round.drained.set()
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
	return (&drain{l, l.current(), start, before}).await(ctx)
}

// AwaitDrained is Drain for a listener that has stopped accepting. For one that accepts, as it may
// have resumed meanwhile, it does nothing.
func (l *Listener) AwaitDrained(ctx context.Context) Result {
	return (&drain{l, l.current(), time.Now(), l.Stats()}).await(ctx)
}

// drain is the wait for a round's connections to end.
type drain struct {
	ln     *Listener
	round  *round
	start  time.Time
	before Stats
}

func (d *drain) await(ctx context.Context) Result {
	if !d.round.draining.isSet() {
		return Result{}
	}
	defer d.noteLate(ctx)()
	select {
	case <-d.round.drained:
	case <-d.round.resumed:
	case <-ctx.Done():
		d.cut()
	}
	r := d.ln.Stats().Since(d.before)
	r.Took = time.Since(d.start)
	return r
}

// noteLate notes when half of the time is over: from then on clients are told to go whose connections the successor refuses. They have
// the other half to ask once more.
func (d *drain) noteLate(ctx context.Context) (stop func()) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return func() {}
	}
	timer := time.AfterFunc(time.Until(deadline)/2, func() {
		d.ln.mu.Lock()
		defer d.ln.mu.Unlock()
		d.round.late.set()
	})
	return func() { timer.Stop() }
}

// cut ends what is open, in two steps.
func (d *drain) cut() {
	for _, c := range d.cutting() {
		if f := c.part().cut.Load(); f != nil {
			go (*f)() // it may write, and the client need not read
			continue
		}
		if c.part().leaving.moving.Load() {
			continue // the socket may be the successor's
		}
		c.part().cutOff(c)
	}
	timer := time.NewTimer(cutGrace)
	defer timer.Stop()
	select {
	case <-d.round.drained:
	case <-timer.C:
		closeAll(d.cutting())
	}
}

// cutOff shuts the receiving side down. What is read from then on ends with [ErrCut], and not as if the client had said that it is all, if he has not.
func (t *tracked) cutOff(c socket) {
	t.shut.CompareAndSwap(false, !isHalfClosed(c.NetConn())) // which is true also where this has been called before
	_ = c.CloseRead()                                        // an error means that it has just ended
}

// cutError is err, the error of a read, for who may take [io.EOF] for the client's.
func (t *tracked) cutError(sock net.Conn, err error) error {
	if !t.shut.Load() || !errors.Is(err, io.EOF) {
		return err
	}
	// As a reset: net/http, for one, answers other errors than those of a read.
	return &net.OpError{Op: "read", Net: sock.LocalAddr().Network(), Source: sock.LocalAddr(), Addr: sock.RemoteAddr(), Err: ErrCut}
}

// closeAll waits for no longer than cutGrace: who has sent a descriptor along can have close(2) take as long as he wants.
func closeAll(sockets []socket) {
	var closing sync.WaitGroup
	for _, c := range sockets {
		closing.Go(func() { _ = c.Close() })
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closing.Wait()
	}()
	timer := time.NewTimer(cutGrace)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// cutting returns what is open, which now counts as cut. There is nothing to cut any more when the listener has resumed.
func (d *drain) cutting() []socket {
	d.ln.mu.Lock()
	defer d.ln.mu.Unlock()
	if d.ln.round != d.round {
		return nil
	}
	return d.ln.conns.cutAll()
}
