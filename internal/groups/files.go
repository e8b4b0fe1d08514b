package groups

import (
	"slices"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// removeNew removes the files of the Unix sockets that this process has
// made.
func removeNew(created []upgrade.Socket) {
	for _, s := range created {
		if socket.IsUnix(s.Network) {
			_ = socket.Remove(s.Address)
		}
	}
}

// Access returns who may use each Unix socket, by its path.
func (set *Set) Access() map[string]socket.Options {
	access := make(map[string]socket.Options)
	for _, g := range set.order {
		if !g.conf.Listen.IsUnix() || g.activated {
			continue
		}
		if opts, err := socket.Access(g.traffic, g.conf.Listen.Address); err == nil { // it has no file otherwise
			access[g.conf.Listen.Address] = opts
		}
	}
	return access
}

// RestoreAccess undoes what a successor that failed has done to the files of the sockets
// that it would have taken over.
func (set *Set) RestoreAccess(access map[string]socket.Options) {
	for _, g := range set.order {
		path := g.conf.Listen.Address
		opts, ok := access[path]
		if !ok || socket.IsMissing(path) {
			continue
		}
		if err := socket.SetAccess(g.traffic, path, opts); err != nil {
			set.opts.Log.Warn("mode and owner of a socket not restored", "error", err)
		}
	}
}

// RemoveFiles removes the files of all Unix sockets when the daemon ends.
func (set *Set) RemoveFiles() {
	for _, g := range set.order {
		if g.conf.Listen.IsUnix() && !g.outlives() {
			if err := socket.RemoveFile(g.conf.Listen.Address, g.file); err != nil {
				set.opts.Log.Warn("socket not removed", "error", err)
			}
		}
	}
}

// RemoveParents removes the files of Unix sockets that the previous
// generation had and this one does not.
func (set *Set) RemoveParents() {
	for _, s := range set.opts.Parent.Sockets {
		kept := slices.ContainsFunc(set.order, func(g *group) bool { return sameAddress(g.conf, &s) })
		if socket.IsUnix(s.Network) && !s.Activated && !kept {
			_ = socket.Remove(s.Address)
		}
	}
}

// AllowSharing lets a successor whose group has moved to another host keep the port, or ends that. A socket that refuses only matters
// to a successor that needs it, and that one says so.
func (set *Set) AllowSharing(allow bool) {
	for _, g := range set.order {
		if !g.conf.Listen.IsUnix() && !g.activated {
			_ = socket.AllowSharing(g.traffic, allow)
		}
	}
}
