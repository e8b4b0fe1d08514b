package engine

import (
	"fmt"
	"net"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

// fileHandover is the name under which the channel for live connections goes to
// the next generation.
const fileHandover = "handover"

// handoverKey names what a connection's next owner must have: the group, and in the
// same mode, since the protocol goes on where it was. It is empty with TLS, whose connections cannot
// move: their keys are in this process.
func handoverKey(g *config.Group) string {
	if g.Mode == config.HTTPS {
		return ""
	}
	return string(g.Mode) + " " + g.Name
}

// newReceiver makes what will take connections from the older generations.
func (e *Engine) newReceiver() error {
	receiver, err := handover.NewReceiver(e.taker())
	if err != nil {
		return err
	}
	e.receiver = receiver
	return nil
}

// taker gives connections to the groups that have their keys.
func (e *Engine) taker() (keys []string, take handover.Taker) {
	groups := make(map[string]*group)
	for _, g := range e.order {
		if key := handoverKey(g.conf); key != "" {
			groups[key] = g
			keys = append(keys, key)
		}
	}
	return keys, func(key string, conn net.Conn, state []byte) error {
		g := groups[key]
		if g == nil {
			return fmt.Errorf("no group %q", key)
		}
		return g.ln.Adopt(conn, state)
	}
}

// receiveConnections begins to take connections from the older generations, once
// this one serves.
func (e *Engine) receiveConnections() error {
	if f := e.up.File(fileHandover); f != nil {
		return e.receiver.Add(f)
	}
	return nil
}

// channel is this generation's side of the handover to its next.
type channel struct{ ours, theirs *os.File }

// offerChannel has the next generation given its end of a channel. Without one the
// upgrade goes on, and connections stay until they end.
func (e *Engine) offerChannel() *channel {
	ours, theirs, err := handover.Pair()
	if err != nil {
		e.log.Warn("connections will not move", "error", err)
		return nil
	}
	e.up.Pass(fileHandover, theirs)
	return &channel{ours: ours, theirs: theirs}
}

// withdraw closes what the next generation has its own copy of, or, after a
// failure, everything.
func (e *Engine) withdraw(c *channel, failed bool) {
	if c == nil {
		return
	}
	e.up.Pass(fileHandover, nil)
	_ = c.theirs.Close()
	if failed {
		_ = c.ours.Close()
	}
}

// moveTo has idle connections move over the channel, and older generations move
// theirs past this one.
func (e *Engine) moveTo(c *channel) {
	if c == nil {
		e.receiver.Close()
		return
	}
	sender, err := handover.NewSender(c.ours)
	if err != nil {
		e.log.Warn("connections will not move", "error", err)
		e.receiver.Close()
		return
	}
	e.moveIdleTo(sender)
	// It waits for the successor, and this generation must not accept meanwhile.
	e.passing.Go(func() { e.receiver.PassOn(sender) })
}

func (e *Engine) moveIdleTo(sender *handover.Sender) {
	for _, g := range e.order {
		g.ln.MoveIdle(sender)
	}
}
