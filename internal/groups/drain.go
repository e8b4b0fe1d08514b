package groups

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// Stats are those of all groups, in the configuration's order.
func (set *Set) Stats() []listener.Stats {
	var stats []listener.Stats
	for _, g := range set.order {
		stats = append(stats, g.traffic.Stats())
	}
	return stats
}

// Hold holds Accept back on all groups until resume is called.
func (set *Set) Hold() (resume func()) { return set.until(Traffic.Hold) }

// Expect keeps all groups from having drained until over is called.
func (set *Set) Expect() (over func()) { return set.until(Traffic.Expect) }

// until begins something in all groups, and returns what ends it.
func (set *Set) until(begin func(Traffic) (end func())) (end func()) {
	var ends []func()
	for _, g := range set.order {
		ends = append(ends, begin(g.traffic))
	}
	return func() {
		for _, f := range ends {
			f()
		}
	}
}

// StopAccepting begins a drain on all groups.
func (set *Set) StopAccepting(expedite bool) {
	tlswatch.Draining(true)
	for _, g := range set.order {
		if expedite {
			g.traffic.Expedite()
		}
		g.traffic.StopAccepting()
	}
}

// Finish has idle connections end when the daemon does, and those answered who wait in the queues. A socket that systemd keeps is left as it is:
// its clients wait for the next start, and nobody could connect to it any more otherwise.
func (set *Set) Finish() {
	for _, g := range set.order {
		g.traffic.CloseIdle()
		if !g.outlives() {
			g.traffic.EmptyQueue()
		}
	}
}

// Withdraw has those answered who have already connected to an address that the previous generation does not have.
func (set *Set) Withdraw() {
	removeNew(set.created) // or others would still connect
	for _, g := range set.order {
		if g.own {
			g.traffic.EmptyQueue()
		}
	}
}

// Drop has the sockets of the named groups, which the successor has not taken over, end with those who
// have already connected, and no others.
func (set *Set) Drop(names []string) {
	for _, name := range names {
		g := set.byName[name]
		if g.activated {
			continue
		}
		if g.conf.Listen.IsUnix() {
			_ = socket.RemoveFile(g.conf.Listen.Address, g.file) // the successor does too, perhaps later
		}
		g.traffic.EmptyQueue()
	}
}

// Closed returns the name of a group that the program has closed; "" if there is none.
func (set *Set) Closed() string {
	for _, g := range set.order {
		if g.isClosed() {
			return g.conf.Name
		}
	}
	return ""
}

// AwaitClosed returns the name of the first group that the program closes; "" when done is closed before.
func (set *Set) AwaitClosed(done <-chan struct{}) string {
	closed := make(chan string, len(set.order))
	var watches sync.WaitGroup
	over := make(chan struct{})
	for _, g := range set.order {
		watches.Go(func() {
			select {
			case <-g.traffic.Closed():
				closed <- g.conf.Name
			case <-done:
			case <-over:
			}
		})
	}
	defer watches.Wait()
	defer close(over)
	select {
	case name := <-closed:
		return name
	case <-done:
		return ""
	}
}

// Reopen returns the sockets of all groups, in the configuration's order, for Resume.
func (set *Set) Reopen() (sockets []socket.Socket, err error) {
	for _, g := range set.order {
		sock, err := set.opts.Sockets.Reopen(g.conf.Name)
		if err != nil {
			Close(sockets)
			return nil, err
		}
		sockets = append(sockets, sock)
	}
	return sockets, nil
}

// Close closes what Reopen has opened.
func Close(sockets []socket.Socket) {
	for _, sock := range sockets {
		_ = sock.Close()
	}
}

// Resume has all groups accept again, on what Reopen has returned. The error names a group that the program has closed; the
// others accept.
func (set *Set) Resume(sockets []socket.Socket) (err error) {
	tlswatch.Draining(false)
	set.tls.resume()
	for i, g := range set.order {
		if resumeErr := g.traffic.resume(sockets[i]); resumeErr != nil {
			err = fmt.Errorf("group %s: %w", g.conf.Name, resumeErr)
		}
	}
	return err
}

// handoverKey names what a connection's next owner must have: the group, in the
// same mode, since the protocol goes on where it was, and on the same kind of socket, since whoever has moved
// a group from a network to a Unix socket does not want clients of the network any more. It is empty with TLS, whose connections cannot
// move: their keys are in this process.
func handoverKey(g *config.Group) string {
	if g.Mode == config.HTTPS {
		return ""
	}
	return keyOf(g, "")
}

// silentKey is handoverKey for connections of TLS on which nothing has been said yet: there are no keys.
func silentKey(g *config.Group) string {
	if g.Mode != config.HTTPS {
		return ""
	}
	return keyOf(g, "")
}

// sealedKey is handoverKey for connections of TLS that move with their keys. It says in which form these are: a generation that knows
// another one must take them for nothing else.
func sealedKey(g *config.Group) string {
	if !g.MoveTLS {
		return ""
	}
	return keyOf(g, "(TLS 1) ")
}

func keyOf(g *config.Group, form string) string {
	if g.Listen.IsUnix() {
		form += "unix "
	}
	return string(g.Mode) + " " + form + g.Name
}

// Taker gives connections from another generation to the groups that have their keys.
func (set *Set) Taker() (keys []string, take handover.Taker) {
	takers := make(map[string]*listener.Arrivals)
	for _, g := range set.order {
		if g.streams != nil {
			for _, key := range g.streams.Arrivals().Keys() {
				takers[key] = g.streams.Arrivals()
			}
		}
	}
	return slices.Sorted(maps.Keys(takers)), func(key string, conn net.Conn, state []byte) (answered func(error), err error) {
		taker := takers[key]
		if taker == nil {
			return nil, fmt.Errorf("no group %q", key)
		}
		return taker.Reserve(key, conn, state)
	}
}

// MoveIdle has idle connections move to another generation.
func (set *Set) MoveIdle(sender *handover.Sender) {
	for _, g := range set.order {
		g.traffic.MoveIdle(sender)
	}
}
