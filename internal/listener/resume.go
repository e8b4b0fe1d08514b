package listener

import (
	"errors"
	"net"
)

// ErrNotDraining is returned by [Listener.Resume] for a listener that does not drain, that the program has
// closed, or that lets out what waits in its queue.
var ErrNotDraining = errors.New("listen: nothing to resume: the listener does not drain, or is closed")

// Resume has a listener that drains accept again, on inner, which it takes over as New does: the successor that had its socket has
// died. An Accept that waits goes on. Connections that were open stay, and those who were told that they
// drain are not told otherwise: [Conn].Draining remains closed for them. They can move to the next successor. New
// connections, and [Listener.Draining], have a new channel. Whoever waits in Drain returns.
//
// On an error inner is closed, and nothing has changed.
func (l *Listener) Resume(inner net.Listener) error {
	keepFile(inner)
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.round
	if !before.draining.isSet() || l.closed.isSet() || l.door.state != doorShut {
		_ = inner.Close()
		return ErrNotDraining
	}
	l.round, l.idle = newRound(), idleRule{}
	l.door = door{inner: inner, held: l.door.held}
	l.door.setDeadline(l.inbox.hasAny())
	before.resumed.set()
	return nil
}
