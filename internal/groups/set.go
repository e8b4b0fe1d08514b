// Package groups has the groups of a daemon's configuration with their sockets: which inherited socket is whose, what is bound anew, who may
// use a socket's file, TLS and its tickets, what systemd has passed or keeps, and the program's listeners.
package groups

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/totals"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// ErrUnknown is returned for a group that the configuration does not have.
var ErrUnknown = errors.New("no such group in the configuration")

// ErrInUse is returned for a group that has a listener already.
var ErrInUse = errors.New("the group is in use already")

// ErrMode is returned for a group whose mode is another one than the caller has thought.
var ErrMode = errors.New("the wrong mode")

// Sockets are where listening sockets come from, and where they go on to: an [upgrade.Upgrader].
type Sockets interface {
	// Inherit returns the inherited socket old, known as now from then on.
	Inherit(old, now upgrade.Socket) (socket.Socket, error)
	// Add has a new socket passed on to successors.
	Add(s upgrade.Socket, sock socket.Socket) error
	// Reopen returns a group's socket with a descriptor of its own.
	Reopen(group string) (socket.Socket, error)
}

// Options configure [Claim]. Nothing in it is optional but TLS.
type Options struct {
	Conf    *config.Config
	Parent  *upgrade.Manifest // what the parent has passed on; a first generation's is empty
	Tickets []tickets.Secret  // the parent's secrets of TLS session tickets
	Sockets Sockets
	Totals  *totals.Table
	Log     *slog.Logger
	Managed bool            // the supervisor speaks to systemd, which can keep sockets
	Gate    <-chan struct{} // no connection is accepted before it is closed
	Release <-chan struct{} // Accept on a group that drains returns when it is closed

	// TLS is the program's; nil for none.
	TLS func(group string, base *tls.Config) *tls.Config

	// Accepting is called when a group is accepted on for the first time: its clients would get an answer. It may
	// be called by several goroutines at once.
	Accepting func()
}

func (o *Options) isFirst() bool { return o.Parent.Generation == 1 }

// Set is all groups of a configuration, in its order. Its methods are safe for concurrent use.
type Set struct {
	opts    Options
	order   []*group          // it and byName are complete when Claim returns
	byName  map[string]*group // by name
	created []upgrade.Socket  // sockets that this process has made, and not inherited

	tls TLS

	mu sync.Mutex // guards used and open of the groups
}

// group is one group of the configuration with its socket.
type group struct {
	conf    *config.Group
	traffic Traffic
	streams *listener.Listener // of traffic; nil for datagrams
	face    net.Listener       // what the program gets: streams, or tls around it; nil for datagrams
	packets net.PacketConn     // what the program gets for datagrams; nil for streams
	own     bool               // its socket is not inherited
	bound   bool               // nobody can connect yet: see [Set.Listen]
	used    bool               // the program has taken it
	open    bool               // it is being accepted on

	file fs.FileInfo // of a Unix socket, as it was when this process took the socket; nil if there was none

	activated bool   // systemd has the socket too, and keeps it
	stored    string // the name under which systemd is to keep it; "" if it is not
}

// outlives reports whether systemd keeps the socket when the daemon ends: clients wait in its queue for the next
// start, and find it by its file.
func (g *group) outlives() bool { return g.activated || g.stored != "" }

// isClosed reports whether the program has closed the group's listener.
func (g *group) isClosed() bool {
	select {
	case <-g.traffic.Closed():
		return true
	default:
		return false
	}
}

// All yields every group's configuration and traffic, in the configuration's order.
func (set *Set) All() iter.Seq2[*config.Group, Traffic] {
	return func(yield func(*config.Group, Traffic) bool) {
		for _, g := range set.order {
			if !yield(g.conf, g.traffic) {
				return
			}
		}
	}
}

// TLS returns what the groups have of TLS.
func (set *Set) TLS() *TLS { return &set.tls }

// Len is the number of groups.
func (set *Set) Len() int { return len(set.order) }

// Mode is that of a group. The error is [ErrUnknown].
func (set *Set) Mode(name string) (config.Mode, error) {
	g, err := lookup(set, name)
	if err != nil {
		return "", err
	}
	return g.conf.Mode, nil
}

// Take returns a group's listener to the program: for mode https one with TLS. Each group is taken once; the error is [ErrUnknown],
// [ErrInUse] or [ErrMode]. With again one that the program has closed is opened anew.
func (set *Set) Take(name string, again bool) (net.Listener, error) {
	g, err := lookup(set, name)
	if err != nil {
		return nil, err
	}
	if g.face == nil {
		return nil, fmt.Errorf("gozd: group %q: %w: mode %s has no connections, call ListenPacket", name, ErrMode, g.conf.Mode)
	}
	if err := set.use(g, again); err != nil {
		return nil, err
	}
	return g.face, nil
}

// TakePacket is Take for a group of mode udp.
func (set *Set) TakePacket(name string, again bool) (net.PacketConn, error) {
	g, err := lookup(set, name)
	if err != nil {
		return nil, err
	}
	if g.packets == nil {
		return nil, fmt.Errorf("gozd: group %q: %w: mode %s has connections, call Listen", name, ErrMode, g.conf.Mode)
	}
	if err := set.use(g, again); err != nil {
		return nil, err
	}
	return g.packets, nil
}

func (set *Set) use(g *group, again bool) error {
	set.mu.Lock()
	defer set.mu.Unlock()
	if g.used && (!again || !g.traffic.Reopen()) {
		return fmt.Errorf("gozd: group %q: %w", g.conf.Name, ErrInUse)
	}
	g.used = true
	return nil
}

func lookup(set *Set, name string) (*group, error) {
	if g := set.byName[name]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("gozd: group %q: %w (it has %s)", name, ErrUnknown, strings.Join(set.Names(), ", "))
}

// Names are the groups' names, sorted.
func (set *Set) Names() []string {
	var names []string
	for _, g := range set.order {
		names = append(names, g.conf.Name)
	}
	slices.Sort(names)
	return names
}

// Addresses are what the groups really listen on, ports instead of port 0, by their names.
func (set *Set) Addresses() map[string]string {
	addrs := make(map[string]string, len(set.order))
	for _, g := range set.order {
		addrs[g.conf.Name] = g.traffic.Addr().Network() + " " + g.traffic.Addr().String()
	}
	return addrs
}

// NotAccepting are the names of the groups that nobody accepts on, in the configuration's order.
func (set *Set) NotAccepting() []string {
	set.mu.Lock()
	defer set.mu.Unlock()
	var waiting []string
	for _, g := range set.order {
		if !g.open {
			waiting = append(waiting, g.conf.Name)
		}
	}
	return waiting
}
