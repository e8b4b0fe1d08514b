package groups

import (
	"fmt"
	"net"
	"slices"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/packet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Claim gives every group its socket: that of the previous generation where it has the address, a new one otherwise. After an
// error nothing is left of what it has made. It is for a process that is still root, where the daemon is started so.
func Claim(opts Options) (*Set, error) {
	set := &Set{opts: opts, byName: make(map[string]*group), tls: TLS{conf: opts.Conf, log: opts.Log}}
	err := (&claiming{opts: &set.opts, set: set}).claimAll()
	if err == nil {
		err = set.tls.start(opts.Tickets)
	}
	if err != nil {
		set.Abandon()
		return nil, err
	}
	return set, nil
}

// Abandon undoes Claim in a generation that does not become one that serves.
func (set *Set) Abandon() {
	set.tls.Pause()
	for _, g := range set.order {
		g.traffic.StopAccepting()
	}
	removeNew(set.created)
}

// claiming is what goes on until every group has its socket.
type claiming struct {
	opts *Options
	set  *Set
	read int // bytes of the files of TLS
}

func (c *claiming) claimAll() error {
	var secures []*secure
	for i := range c.opts.Conf.Groups {
		s, err := c.claimTLS(&c.opts.Conf.Groups[i])
		if err != nil {
			return err
		}
		secures = append(secures, s)
	}
	inherited := c.opts.Parent.Sockets
	if c.opts.isFirst() {
		inherited = storedSockets()
	}
	// First the groups that keep their socket, so that a new group does not
	// take it for itself.
	matches := matchSockets(c.opts.Conf.Groups, inherited)
	c.forgetLost(matches)
	if c.opts.isFirst() {
		if err := c.refuseStored(matches); err != nil {
			return err
		}
		c.discardStored(matches)
	}
	for i := range c.opts.Conf.Groups {
		g, err := c.claim(&c.opts.Conf.Groups[i], matches[i])
		if err != nil {
			return err
		}
		if s := secures[i]; s != nil {
			s.TLSListener = listener.NewTLS(g.streams, s.first)
			g.face = s.TLSListener
			c.set.tls.all = append(c.set.tls.all, s)
		}
		c.set.byName[g.conf.Name] = g
		c.set.order = append(c.set.order, g)
	}
	if c.opts.isFirst() {
		return c.set.Listen() // clients may as well wait: there is nobody else
	}
	return nil
}

func (c *claiming) claim(conf *config.Group, match *upgrade.Socket) (*group, error) {
	now := upgrade.Socket{Group: conf.Name, Network: conf.Listen.Network, Address: conf.Listen.Address}
	uid, gid, err := check.Owner(c.opts.Conf, conf)
	if err != nil {
		return nil, err
	}
	inner, err := c.open(conf, now, match, socket.Options{Mode: conf.SocketMode, UID: uid, GID: gid})
	if err != nil {
		return nil, check.InGroup(c.opts.Conf, conf, err)
	}
	if socket.IsUnix(now.Network) {
		if err := socket.RefuseFiles(inner); err != nil {
			_ = inner.Close()
			return nil, check.InGroup(c.opts.Conf, conf, err)
		}
	}
	activated := match != nil && match.Activated || match == nil && fromSystemd(conf.Name) != nil
	own := match == nil && !activated
	g := &group{conf: conf, own: own, bound: own, activated: activated}
	if !activated {
		g.stored = c.nameStored(conf)
	}
	if socket.IsUnix(now.Network) {
		g.file = socket.File(now.Address)
	}
	if err := c.receive(g, inner); err != nil {
		_ = inner.Close()
		return nil, check.InGroup(c.opts.Conf, conf, err)
	}
	return g, nil
}

// receive gives the group what comes in by its socket, which it takes over.
func (c *claiming) receive(g *group, inner socket.Socket) error {
	switch sock := inner.(type) {
	case socket.Packets:
		conn := packet.New(sock, packet.Options{
			Group: g.conf.Name, Gate: c.opts.Gate, Release: c.opts.Release, OnRead: func() { c.opened(g) },
		})
		g.traffic, g.packets = packets{conn}, conn
		if sock.LocalAddr().Network() == "udp" {
			g.packets = packet.UDPConn{Conn: conn}
		}
	case net.Listener:
		g.streams = c.listener(g, sock)
		g.traffic, g.face = streams{g.streams}, g.streams
	default:
		return fmt.Errorf("%T is no socket of streams or datagrams", inner)
	}
	return nil
}

// opened notes that the program accepts on a group, or reads from it.
func (c *claiming) opened(g *group) {
	c.set.mu.Lock()
	g.open = true
	c.set.mu.Unlock()
	c.opts.Accepting()
}

func (c *claiming) listener(g *group, inner net.Listener) *listener.Listener {
	conf := g.conf
	return listener.New(inner, listener.Options{
		Group:       conf.Name,
		HandoverKey: handoverKey(conf),
		SilentKey:   silentKey(conf),
		SealedKey:   sealedKey(conf),
		Gate:        c.opts.Gate,
		Release:     c.opts.Release,
		Spread:      conf.Spread,
		Totals:      c.opts.Totals.Of(conf.Name),
		OnAccept:    func() { c.opened(g) },
		OnStay: func(reason string, err error) {
			log := c.opts.Log.Warn
			if reason == listener.StayWrong {
				log = c.opts.Log.Error
			}
			log("connections of TLS stay", "group", conf.Name, "reason", reason, "error", err)
		},
		OnHidden: func(kind string) {
			c.opts.Log.Warn("connections do not move: their layer does not show what it is over (NetConn, Unwrap)",
				"group", conf.Name, "layer", kind)
		},
	})
}

// open returns the socket of a group, known to the upgrader.
func (c *claiming) open(conf *config.Group, now upgrade.Socket, match *upgrade.Socket, opts socket.Options) (socket.Socket, error) {
	if match != nil && c.opts.isFirst() {
		return c.takeStored(*match, now, opts)
	}
	if match != nil {
		if conf.SocketOwner == "" {
			opts.UID, opts.GID = -1, -1 // it has one, who may not be this user's to change
		}
		now.Activated, now.File = match.Activated, match.File
		return c.inherit(*match, now, opts)
	}
	if ln := fromSystemd(conf.Name); ln != nil {
		now.Activated = true
		return ln, c.opts.Sockets.Add(now, ln)
	}
	opts.SharePort = c.parentHasPort(now)
	network, address := conf.Listen.Bind()
	ln, err := socket.Bind(network, address, opts)
	if err != nil {
		return nil, err
	}
	if socket.IsUnix(now.Network) {
		now.File = socket.FileID(now.Address)
	}
	c.set.created = append(c.set.created, now)
	if err := c.opts.Sockets.Add(now, ln); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// parentHasPort reports whether the previous generation listens on the port
// of a group that has moved to another host.
func (c *claiming) parentHasPort(now upgrade.Socket) bool {
	_, port, _ := net.SplitHostPort(now.Address)
	return slices.ContainsFunc(c.opts.Parent.Sockets, func(s upgrade.Socket) bool {
		_, other, err := net.SplitHostPort(s.Bound)
		return err == nil && s.Network == now.Network && other == port
	})
}

func (c *claiming) inherit(old, now upgrade.Socket, opts socket.Options) (socket.Socket, error) {
	ln, err := c.opts.Sockets.Inherit(old, now)
	if err != nil {
		return nil, err
	}
	if want := (config.Address{Network: now.Network, Address: now.Address}); !now.Activated && !want.IsUnix() && !want.MayBe(addressOf(ln)) {
		err := fmt.Errorf("the previous generation has passed on a socket on %s", ln.Addr())
		_ = ln.Close()
		return nil, err
	}
	if socket.IsUnix(now.Network) && !now.Activated && !c.opts.Parent.DryRun { // clients of the parent's use it on
		if err := socket.SetAccess(ln, now.Address, opts); err != nil {
			_ = ln.Close()
			return nil, err
		}
	}
	return ln, nil
}

// Listen lets clients connect to the sockets that this process has made. A successor calls it at the
// last moment: if its upgrade failed afterwards, those in their queues would be reset.
func (set *Set) Listen() error {
	for _, g := range set.order {
		if !g.bound || g.streams == nil {
			continue
		}
		if err := socket.Begin(streams{g.streams}); err != nil {
			return check.InGroup(set.opts.Conf, g.conf, err)
		}
		g.bound = false
	}
	return nil
}
