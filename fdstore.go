package gozd

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// findManager notes whether systemd hears what the supervisor says. The program may have removed the variable since
// generation 1 has seen it.
func (d *Daemon) findManager() {
	d.managed = d.super != nil && (d.up.Manifest().Managed || os.Getenv("NOTIFY_SOCKET") != "")
}

// nameStored returns the name under which systemd keeps the socket of a group when this generation is gone; "" if it
// does not.
func (d *Daemon) nameStored(g *cfg.Group) string {
	if !d.conf.Daemon.FDStore || !d.managed {
		return ""
	}
	name, err := activation.StoredName(g.Name, g.Listen.String())
	if err != nil {
		d.log.Warn("the socket does not outlive the daemon", "group", g.Name, "error", err)
	}
	return name
}

// warnOfStore says once that fdstore is asked for in vain.
func (d *Daemon) warnOfStore() {
	asked := d.conf.Daemon.FDStore
	d.up.SetManaged(d.managed, asked)
	if asked && !d.managed && !d.up.Manifest().Storing {
		d.log.Warn("fdstore has no effect: it needs systemd, a unit with Type=notify, and a supervisor")
	}
}

// storeSockets has systemd keep this generation's sockets, and no others of the daemon's. It reports whether any are kept; where
// that cannot be changed, what is kept stays so.
func (d *Daemon) storeSockets() bool {
	var sockets []supervise.Socket
	for _, g := range d.order {
		if g.stored != "" {
			sockets = append(sockets, supervise.Socket{Name: g.stored, Socket: g.ln})
		}
	}
	if len(sockets) == 0 {
		return false
	}
	if err := d.super.Keep(d.signed(supervise.Event{}), sockets); err != nil {
		d.log.Warn("systemd is not told which sockets to keep", "error", err)
	}
	return true
}

// storedSockets are those of an earlier life of the daemon that this process may take, as a successor knows
// inherited ones: ID is the name. One that a socket unit passes, too, is not among them, nor one whose file is gone: nobody
// would find it. The service's user can have systemd keep any descriptor of his under any name: of a Unix socket the
// name is believed only where the kernel says that it is bound to that very file.
func storedSockets() []upgrade.Socket {
	sockets, err := activated()
	if err != nil {
		return nil // has been reported with the configuration
	}
	var stored []upgrade.Socket
	for _, s := range sockets {
		group, address, ok := s.Stored()
		if !ok || s.Listener == nil || fromSystemd(group) != nil {
			continue
		}
		bound := addressOf(s.Listener)
		isNew := !slices.ContainsFunc(stored, func(o upgrade.Socket) bool { return o.ID == s.Name })
		if isNew && (bound.Network != "unix" || isBound(s.Listener, address)) {
			stored = append(stored, upgrade.Socket{ID: s.Name, Group: group, Network: bound.Network, Address: address, Bound: bound.Address})
		}
	}
	return stored
}

// isBound reports whether clients find the socket of a listener at path.
func isBound(ln net.Listener, path string) bool {
	conn, ok := ln.(syscall.Conn)
	return ok && ln.Addr().String() == path && socket.IsBound(conn, path)
}

// refuseStored takes from the groups the stored sockets that are not theirs to take: systemd has a socket for the group in
// a unit, or the file is neither the configured user's, who is all that a stored socket comes from, nor that of socket_owner. Root
// would give such a file away.
func (d *Daemon) refuseStored(matches []*upgrade.Socket) error {
	for i, m := range matches {
		if m == nil {
			continue
		}
		g := &d.conf.Groups[i]
		mine := m.Network != "unix"
		if !mine {
			uid, _, err := check.Owner(d.conf, g)
			if err == nil {
				mine, err = d.isUsers(m.Bound, uid)
			}
			if err != nil {
				return err
			}
		}
		if fromSystemd(g.Name) != nil || !mine {
			d.log.Warn("a stored socket is not the group's", "group", g.Name, "name", m.ID)
			matches[i] = nil
		}
	}
	return nil
}

// isUsers reports whether a socket's file belongs to whom this process is going to be, or to or, whose it is to be. Where it stays who it is, nobody
// but itself has had systemd keep the socket.
func (d *Daemon) isUsers(path string, or int) (bool, error) {
	id, err := check.Identity(d.conf)
	if err != nil || id == nil || os.Geteuid() != 0 || strings.HasPrefix(path, "@") {
		return err == nil, err
	}
	now, err := socket.Access(path)
	return err == nil && (now.UID == id.UID || now.UID == or), nil
}

// takeStored makes the socket of an earlier life this daemon's. An upgrade may have been in progress when that ended.
func (d *Daemon) takeStored(match, now upgrade.Socket, opts socket.Options) (socket.Listener, error) {
	ln, err := ownStored(match.ID)
	if err != nil {
		return nil, err
	}
	if now.Network == "unix" {
		err = setSocketAccess(ln, now.Address, opts)
	} else {
		err = socket.AllowSharing(ln, false)
	}
	if err == nil {
		err = d.up.Add(now, ln)
	}
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

func ownStored(name string) (socket.Listener, error) {
	sockets, err := activated()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(sockets, func(s activation.Socket) bool { return s.Name == name && s.Listener != nil })
	if i < 0 {
		return nil, fmt.Errorf("systemd has not passed %s", name)
	}
	ln, ok := sockets[i].Own().(socket.Listener)
	if !ok {
		return nil, fmt.Errorf("%s is no socket", name)
	}
	return ln, nil
}

// discardStored ends the stored sockets that no group takes, before their addresses may be needed. systemd is told to
// forget them when this generation serves.
func (d *Daemon) discardStored(matches []*upgrade.Socket) {
	sockets, _ := activated() // has been reported with the configuration
	taken := make(map[string]bool)
	for _, m := range matches {
		if m != nil {
			taken[m.ID] = true
		}
	}
	for _, s := range sockets {
		switch {
		case !s.IsStored():
		case taken[s.Name] && s.Listener != nil:
			taken[s.Name] = false // another of the name is not
		default:
			d.discard(s)
		}
	}
}

// discard ends a stored socket. Its file goes with it only if it is the one that the socket is bound to, and the
// user's: he has made up the name.
func (d *Daemon) discard(s activation.Socket) {
	_, address, _ := s.Stored()
	isOurs := slices.ContainsFunc(d.conf.Groups, func(g cfg.Group) bool { return g.Listen.Address == address })
	if strings.HasPrefix(address, "/") && !isOurs && s.Listener != nil && isBound(s.Listener, address) {
		file := socket.File(address)
		if users, err := d.isUsers(address, -1); err == nil && users && file != nil {
			_ = socket.RemoveFile(address, file)
		}
	}
	s.Discard()
	d.log.Info("a socket of an earlier life is not needed any more", "name", s.Name)
}

// storedBefore are the sockets that systemd has passed back, as the supervisor has to know them.
func storedBefore(sockets []activation.Socket) []supervise.Stored {
	var stored []supervise.Stored
	for _, s := range sockets {
		if s.IsStored() {
			stored = append(stored, supervise.Stored{Name: s.Name, Inode: s.Inode()})
		}
	}
	return stored
}
