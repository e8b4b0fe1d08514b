package groups

import (
	"net"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

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
	return !g.Listen.IsUnix() && err == nil && port == "0"
}

// forgetLost has a Unix socket bound anew whose file somebody has removed: nobody can connect to
// the inherited one any more.
func (c *claiming) forgetLost(matches []*upgrade.Socket) {
	for i, s := range matches {
		if s != nil && socket.IsUnix(s.Network) && !s.Activated && isLost(s) {
			c.opts.Log.Warn("somebody has removed the socket's file: a new one is bound", "group", c.opts.Conf.Groups[i].Name, "socket", s.Address)
			matches[i] = nil
		}
	}
}

// isLost reports whether a socket has no file, or another one stands there on which nobody answers: a successor that has died had
// bound it anew.
func isLost(s *upgrade.Socket) bool {
	if socket.IsMissing(s.Address) {
		return true
	}
	return s.File != "" && socket.FileID(s.Address) != s.File && socket.Probe(s.Network, s.Address) == nil
}
