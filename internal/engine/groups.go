package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// claimGroups gives every group its socket: that of the previous generation
// where it has the address, a new one otherwise.
func (e *Engine) claimGroups() error {
	var configs []*tls.Config
	for i := range e.conf.Groups {
		config, err := tlsConfig(e.conf, &e.conf.Groups[i])
		if err != nil {
			return err
		}
		configs = append(configs, config)
	}
	inherited := e.up.Manifest().Sockets
	if e.Generation() == 1 {
		inherited = storedSockets()
	}
	// First the groups that keep their socket, so that a new group does not
	// take it for itself.
	matches := matchSockets(e.conf.Groups, inherited)
	e.forgetLostSockets(matches)
	if e.Generation() == 1 {
		if err := e.refuseStored(matches); err != nil {
			return err
		}
		e.discardStored(matches)
	}
	for i := range e.conf.Groups {
		g, err := e.claim(&e.conf.Groups[i], matches[i])
		if err != nil {
			return err
		}
		g.face = g.ln
		if configs[i] != nil {
			g.face, g.tls = listener.NewTLS(g.ln, configs[i]), configs[i]
		}
		e.groups[g.conf.Name] = g
		e.order = append(e.order, g)
	}
	if e.Generation() == 1 {
		return e.listenOnAll() // clients may as well wait: there is nobody else
	}
	return nil
}

// forgetLostSockets has a Unix socket bound anew whose file somebody has removed: nobody can connect to
// the inherited one any more.
func (e *Engine) forgetLostSockets(matches []*upgrade.Socket) {
	for i, s := range matches {
		if s != nil && s.Network == "unix" && !s.Activated && e.isLost(s) {
			e.log.Warn("somebody has removed the socket's file: a new one is bound", "group", e.conf.Groups[i].Name, "socket", s.Address)
			matches[i] = nil
		}
	}
}

// isLost reports whether a socket has no file, or another one stands there on which nobody answers: a successor that has died had
// bound it anew.
func (e *Engine) isLost(s *upgrade.Socket) bool {
	if socket.IsMissing(s.Address) {
		return true
	}
	return s.File != "" && socket.FileID(s.Address) != s.File && socket.Probe(s.Network, s.Address) == nil
}

// tlsConfig is an https group's; it is nil for other modes.
func tlsConfig(conf *config.Config, g *config.Group) (*tls.Config, error) {
	pair, err := check.KeyPair(conf, g)
	if err != nil || pair == nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{*pair},
		NextProtos:   []string{"http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}
	if g.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config, nil
}

// matchSockets returns for every group the inherited socket that it keeps, or
// nil: the one of its own name if the address is the same, else one of another
// name that has its address, because the group was renamed or two were swapped.
func matchSockets(groups []config.Group, inherited []upgrade.Socket) []*upgrade.Socket {
	matches := make([]*upgrade.Socket, len(groups))
	taken := make(map[string]bool)
	match := func(i int, fits func(s *upgrade.Socket) bool) {
		for j := range inherited {
			s := &inherited[j]
			if matches[i] == nil && !taken[s.ID] && sameAddress(&groups[i], s) && fits(s) {
				matches[i], taken[s.ID] = s, true
			}
		}
	}
	for i := range groups {
		match(i, func(s *upgrade.Socket) bool { return s.Group == groups[i].Name })
	}
	for i := range groups {
		match(i, func(*upgrade.Socket) bool { return !anyPort(&groups[i]) })
	}
	return matches
}

// sameAddress compares addresses as the configurations have them, so that port 0
// stays the port that it once became, and a name is not looked up again; and with
// the address that the socket has.
func sameAddress(g *config.Group, s *upgrade.Socket) bool {
	return g.Listen.Network == s.Network && (g.Listen.Address == s.Address || g.Listen.Address == s.Bound)
}

// anyPort tells groups that have no address of their own to be known by.
func anyPort(g *config.Group) bool {
	_, port, err := net.SplitHostPort(g.Listen.Address)
	return g.Listen.Network == "tcp" && err == nil && port == "0"
}

func (e *Engine) claim(conf *config.Group, match *upgrade.Socket) (*group, error) {
	now := upgrade.Socket{Group: conf.Name, Network: conf.Listen.Network, Address: conf.Listen.Address}
	uid, gid, err := check.Owner(e.conf, conf)
	if err != nil {
		return nil, err
	}
	inner, err := e.open(conf, now, match, socket.Options{Mode: conf.SocketMode, UID: uid, GID: gid})
	if err != nil {
		return nil, check.InGroup(e.conf, conf, err)
	}
	activated := match != nil && match.Activated || match == nil && fromSystemd(conf.Name) != nil
	own := match == nil && !activated
	g := &group{conf: conf, own: own, bound: own, activated: activated}
	if !activated {
		g.stored = e.nameStored(conf)
	}
	if now.Network == "unix" {
		g.file = socket.File(now.Address)
	}
	g.ln = listener.New(inner, listener.Options{
		Group:       conf.Name,
		HandoverKey: handoverKey(conf),
		Gate:        e.gate,
		Release:     e.release,
		Spread:      conf.Spread,
		OnAccept:    func() { e.accepting(g) },
		OnHidden: func(kind string) {
			e.log.Warn("connections do not move: their layer does not show what it is over (NetConn, Unwrap)",
				"group", conf.Name, "layer", kind)
		},
	})
	return g, nil
}

// open returns the listening socket of a group, known to the upgrader.
func (e *Engine) open(conf *config.Group, now upgrade.Socket, match *upgrade.Socket, opts socket.Options) (net.Listener, error) {
	if match != nil && e.Generation() == 1 {
		return e.takeStored(*match, now, opts)
	}
	if match != nil {
		if conf.SocketOwner == "" {
			opts.UID, opts.GID = -1, -1 // it has one, who may not be this user's to change
		}
		now.Activated, now.File = match.Activated, match.File
		return e.inherit(*match, now, opts)
	}
	if ln := fromSystemd(conf.Name); ln != nil {
		now.Activated = true
		return ln, e.up.Add(now, ln)
	}
	opts.SharePort = e.predecessorHasPort(now)
	network, address := conf.Listen.Bind()
	ln, err := socket.Bind(network, address, opts)
	if err != nil {
		return nil, err
	}
	if now.Network == "unix" {
		now.File = socket.FileID(now.Address)
	}
	e.created = append(e.created, now)
	if err := e.up.Add(now, ln); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// listenOnAll lets clients connect to the sockets that this process has made. A successor calls it at the
// last moment: if its upgrade failed afterwards, those in their queues would be reset.
func (e *Engine) listenOnAll() error {
	for _, g := range e.order {
		if !g.bound {
			continue
		}
		if err := socket.Begin(g.ln); err != nil {
			return check.InGroup(e.conf, g.conf, err)
		}
		g.bound = false
	}
	return nil
}

// predecessorHasPort reports whether the previous generation listens on the port
// of a group that has moved to another host.
func (e *Engine) predecessorHasPort(now upgrade.Socket) bool {
	_, port, _ := net.SplitHostPort(now.Address)
	return slices.ContainsFunc(e.up.Manifest().Sockets, func(s upgrade.Socket) bool {
		_, other, err := net.SplitHostPort(s.Bound)
		return err == nil && s.Network == "tcp" && other == port
	})
}

func (e *Engine) inherit(old, now upgrade.Socket, opts socket.Options) (net.Listener, error) {
	ln, err := e.up.Inherit(old, now)
	if err != nil {
		return nil, err
	}
	if now.Network == "unix" && !now.Activated {
		if err := setSocketAccess(ln, now.Address, opts); err != nil {
			_ = ln.Close()
			return nil, err
		}
	}
	return ln, nil
}

// setSocketAccess is socket.SetAccess for a listener of any type.
func setSocketAccess(ln net.Listener, path string, opts socket.Options) error {
	conn, ok := ln.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T is no socket", ln)
	}
	return socket.SetAccess(conn, path, opts)
}

// Listen returns the listener of a group: for mode https one with TLS.
func (e *Engine) Listen(name string) (net.Listener, error) {
	g, err := e.take(name)
	if err != nil {
		return nil, err
	}
	return g.face, nil
}

// Mode is that of a group.
func (e *Engine) Mode(name string) (config.Mode, error) {
	g, err := e.lookup(name)
	if err != nil {
		return "", err
	}
	return g.conf.Mode, nil
}

// ServeEnded is called when a handler's server has returned, which is how it should end once this generation drains.
func (e *Engine) ServeEnded(group, handler string, err error) {
	if !e.drains() {
		e.log.Error("group is not served any more", "group", group, "handler", handler, "error", err)
	}
}

// lookup finds a group.
func (e *Engine) lookup(name string) (*group, error) {
	if g := e.groups[name]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("gozd: group %q: %w (it has %s)", name, ErrUnknownGroup, strings.Join(e.names(), ", "))
}

// take marks a group as used by the program.
func (e *Engine) take(name string) (*group, error) {
	g, err := e.lookup(name)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if g.used && (e.phase != resuming || !g.ln.Reopen()) { // or OnResume takes what the program had closed
		return nil, fmt.Errorf("gozd: group %q: %w", name, ErrGroupInUse)
	}
	g.used = true
	return g, nil
}

func (e *Engine) names() []string {
	var names []string
	for _, g := range e.order {
		names = append(names, g.conf.Name)
	}
	slices.Sort(names)
	return names
}

// removeNewSockets removes the files of the Unix sockets that this process has
// made.
func (e *Engine) removeNewSockets() {
	for _, s := range e.created {
		if s.Network == "unix" {
			_ = socket.Remove(s.Address)
		}
	}
}

// socketAccess returns who may use each Unix socket, by its path.
func (e *Engine) socketAccess() map[string]socket.Options {
	access := make(map[string]socket.Options)
	for _, g := range e.order {
		if g.conf.Listen.Network != "unix" || g.activated {
			continue
		}
		if opts, err := socket.Access(g.conf.Listen.Address); err == nil { // it has no file otherwise
			access[g.conf.Listen.Address] = opts
		}
	}
	return access
}

// restoreAccess undoes what a successor that failed has done to the files of the sockets
// that it would have taken over.
func (e *Engine) restoreAccess(access map[string]socket.Options) {
	for _, g := range e.order {
		path := g.conf.Listen.Address
		opts, ok := access[path]
		if !ok || socket.IsMissing(path) {
			continue
		}
		if err := socket.SetAccess(g.ln, path, opts); err != nil {
			e.log.Warn("mode and owner of a socket not restored", "error", err)
		}
	}
}

// removeAllSockets removes the files of all Unix sockets when the daemon ends.
func (e *Engine) removeAllSockets() error {
	var errs []error
	for _, g := range e.order {
		if g.conf.Listen.Network == "unix" && !g.outlives() {
			errs = append(errs, socket.RemoveFile(g.conf.Listen.Address, g.file))
		}
	}
	return errors.Join(errs...)
}

// outlives reports whether systemd keeps the socket when the daemon ends: clients wait in its queue for the next
// start, and find it by its file.
func (g *group) outlives() bool { return g.activated || g.stored != "" }

// removeOldSockets removes the files of Unix sockets that the previous
// generation had and this one does not.
func (e *Engine) removeOldSockets() {
	for _, s := range e.up.Manifest().Sockets {
		kept := slices.ContainsFunc(e.order, func(g *group) bool { return sameAddress(g.conf, &s) })
		if s.Network == "unix" && !s.Activated && !kept {
			_ = socket.Remove(s.Address)
		}
	}
}
