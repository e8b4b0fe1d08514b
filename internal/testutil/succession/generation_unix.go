//go:build unix

package succession

import (
	"context"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// Generation takes connections from the generation before, and hands its own over to
// the next one, as processes do: through a channel.
type Generation struct {
	listener *listener.Listener
	receiver *handover.Receiver
}

// New returns the generation of a listener. At the end of the test it
// takes nothing any more, and what the listener has left is closed.
func New(tb testing.TB, ln *listener.Listener) *Generation {
	tb.Helper()
	r, err := handover.NewReceiver(ln.Arrivals().Keys(), ln.Arrivals().Reserve)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		r.Close()
		ln.CloseIdle()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		ln.Drain(ctx)
	})
	return &Generation{ln, r}
}

// ReplaceBy begins the drain of g, whose idle connections move to next.
func (g *Generation) ReplaceBy(tb testing.TB, next *Generation) {
	tb.Helper()
	ours, theirs, err := handover.Pair()
	if err != nil {
		tb.Fatal(err)
	}
	if err := next.receiver.Add(theirs); err != nil {
		tb.Fatal(err)
	}
	sender, err := handover.NewSender(ours)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(sender.Close)
	g.listener.MoveIdle(sender)
	g.receiver.PassOn(sender)
	g.listener.StopAccepting()
}

// Vanish has g take nothing any more, as when its process has ended.
func (g *Generation) Vanish() { g.receiver.Close() }
