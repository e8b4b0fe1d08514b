package groups

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// Stored are the sockets that systemd is to keep when the daemon ends, by the names under which it does.
func (set *Set) Stored() []supervise.Socket {
	var sockets []supervise.Socket
	for _, g := range set.order {
		if g.stored != "" {
			sockets = append(sockets, supervise.Socket{Name: g.stored, Socket: g.traffic})
		}
	}
	return sockets
}

// nameStored returns the name under which systemd keeps the socket of a group when this generation is gone; "" if it
// does not.
func (c *claiming) nameStored(g *config.Group) string {
	if !c.opts.Conf.Daemon.FDStore || !c.opts.Managed {
		return ""
	}
	name, err := activation.StoredName(g.Name, g.Listen.String())
	if err != nil {
		c.opts.Log.Warn("the socket does not outlive the daemon", "group", g.Name, "error", err)
	}
	return name
}

// storedSockets are those of an earlier life of the daemon that this process may take, as a successor knows
// inherited ones: ID is the place among those that systemd has passed, since several may have one name, and what is taken has to be what was
// looked at. One that a socket unit passes, too, is not among them, nor one whose file is gone: nobody
// would find it. The service's user can have systemd keep any descriptor of his under any name: of a Unix socket the
// name is believed only where the kernel says that it is bound to that very file.
func storedSockets() []upgrade.Socket {
	sockets, err := activation.Inherited()
	if err != nil {
		return nil // has been reported with the configuration
	}
	var stored []upgrade.Socket
	for i, s := range sockets {
		group, address, ok := s.Stored()
		if !ok || s.Socket == nil || fromSystemd(group) != nil {
			continue
		}
		bound := addressOf(s.Socket)
		isNew := !slices.ContainsFunc(stored, func(o upgrade.Socket) bool { return o.Group == group && o.Address == address })
		if isNew && (!bound.IsUnix() || isBound(s.Socket, address)) {
			stored = append(stored, upgrade.Socket{ID: strconv.Itoa(i), Group: group, Network: bound.Network, Address: address, Bound: bound.Address})
		}
	}
	return stored
}

// isBound reports whether clients find the socket at path.
func isBound(s socket.Socket, path string) bool {
	return s.Addr().String() == path && socket.IsBound(s, path)
}

// refuseStored takes from the groups the stored sockets that are not theirs to take: systemd has a socket for the group in
// a unit, or the socket is on another port or host than its name says, or the file is neither the configured user's, who is all that a stored socket comes from, nor that of socket_owner. Root
// would give such a file away.
func (c *claiming) refuseStored(matches []*upgrade.Socket) error {
	for i, m := range matches {
		if m == nil {
			continue
		}
		g := &c.opts.Conf.Groups[i]
		mine := g.Listen.MayBe(config.Address{Network: m.Network, Address: m.Bound})
		if socket.IsUnix(m.Network) {
			uid, _, err := check.Owner(c.opts.Conf, g)
			if err == nil {
				mine, err = c.isUsers(m.Bound, uid)
			}
			if err != nil {
				return err
			}
		}
		if fromSystemd(g.Name) != nil || !mine {
			c.opts.Log.Warn("a stored socket is not the group's", "group", g.Name, "address", m.Address, "socket", m.Bound)
			matches[i] = nil
		}
	}
	return nil
}

// isUsers reports whether a socket's file belongs to whom this process is going to be, or to or, whose it is to be. Where it stays who it is, nobody
// but itself has had systemd keep the socket.
func (c *claiming) isUsers(path string, or int) (bool, error) {
	id, err := check.Identity(c.opts.Conf)
	if err != nil || id == nil || os.Geteuid() != 0 || strings.HasPrefix(path, "@") {
		return err == nil, err
	}
	uid, err := socket.Owner(path)
	return err == nil && (uid == id.UID || uid == or), nil
}

// takeStored makes the socket of an earlier life this daemon's. An upgrade may have been in progress when that ended.
func (c *claiming) takeStored(match, now upgrade.Socket, opts socket.Options) (socket.Socket, error) {
	ln, err := ownStored(match.ID)
	if err != nil {
		return nil, err
	}
	if socket.IsUnix(now.Network) {
		err = socket.SetAccess(ln, now.Address, opts)
	} else {
		err = socket.AllowSharing(ln, false)
	}
	if err == nil {
		err = c.opts.Sockets.Add(now, ln)
	}
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// ownStored returns the socket with an ID of storedSockets.
func ownStored(id string) (socket.Socket, error) {
	sockets, err := activation.Inherited()
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(id)
	if err != nil {
		return nil, err
	}
	return sockets[i].Own(), nil
}

// discardStored ends the stored sockets that no group takes, before their addresses may be needed. systemd is told to
// forget them when this generation serves.
func (c *claiming) discardStored(matches []*upgrade.Socket) {
	sockets, _ := activation.Inherited() // has been reported with the configuration
	taken := make(map[string]bool)
	for _, m := range matches {
		if m != nil {
			taken[m.ID] = true
		}
	}
	for i, s := range sockets {
		if s.IsStored() && !taken[strconv.Itoa(i)] {
			c.discard(s)
		}
	}
}

// discard ends a stored socket. Its file goes with it only if it is the one that the socket is bound to, and the
// user's: he has made up the name.
func (c *claiming) discard(s activation.Socket) {
	_, address, _ := s.Stored()
	isOurs := slices.ContainsFunc(c.opts.Conf.Groups, func(g config.Group) bool { return g.Listen.Address == address })
	if strings.HasPrefix(address, "/") && !isOurs && s.Socket != nil && isBound(s.Socket, address) && socket.IsOwnFile(s.Socket, address) {
		file := socket.File(address)
		if users, err := c.isUsers(address, -1); err == nil && users && file != nil {
			_ = socket.RemoveFile(address, file)
		}
	}
	s.Discard()
	c.opts.Log.Info("a socket of an earlier life is not needed any more", "name", s.Name)
}
