package config

import (
	"io/fs"
	"strconv"
	"strings"
)

var modes = []string{string(TCP), string(HTTP), string(HTTPS), string(FCGI), string(UDP)}

// readGroup checks the section of a group. What is wrong is left zero.
func readGroup(s *section, opts Options) Group {
	g := Group{
		Name:         s.name,
		Line:         s.lines[keyPath{s.name, ""}],
		SocketMode:   defaultSocketMode,
		DrainTimeout: s.duration("drain_timeout", defaultDrainTimeout, 0),
		StopTimeout:  s.duration("stop_timeout", defaultStopTimeout, 0),
	}
	s.require("mode", "")
	given, isGiven := opts.Sockets[s.name]
	if !isGiven && !opts.AnySocket {
		s.require("listen", "")
	}
	mode, _ := s.choice("mode", modes)
	g.Mode = Mode(mode)
	g.Listen = readListen(s, g.Mode)
	if isGiven {
		g.Listen = readGiven(s, g.Mode, g.Listen, given)
	}
	readTLS(s, &g, opts.OwnTLS)
	readSocket(s, &g)
	readSpread(s, &g)
	return g
}

// readSpread comes after the mode and drain_timeout.
func readSpread(s *section, g *Group) {
	if g.Mode != HTTP && g.Mode != HTTPS {
		s.forbid("spread", "modes http and https")
		return
	}
	g.Spread = s.duration("spread", 0, 0)
	if g.Spread > g.DrainTimeout {
		s.fail("spread", s.text("spread"), "spread %q is longer than drain_timeout %v: some clients would be cut before they are told", s.text("spread"), g.DrainTimeout)
	}
}

func readListen(s *section, m Mode) Address {
	value, ok := s.get("listen")
	if !ok {
		return Address{}
	}
	known := m != ""
	if !known {
		m = HTTP // any mode with a usual port: that there is none is not the mistake
	}
	a, err := ParseAddress(value, m)
	if err == nil && a.IsUnix() && !a.abstract() {
		a.Address = s.absolute(a.Address)
		err = checkSocketPath(a.Address)
	}
	if err != nil {
		s.fail("listen", value, "listen: %v", err)
	}
	if err != nil || !known {
		return Address{}
	}
	return a
}

// readGiven compares what the file says with the socket that the process has, which counts.
func readGiven(s *section, m Mode, listen, given Address) Address {
	if m != "" && given.IsPackets() != (m == UDP) {
		s.fail("mode", string(m), "mode %s: systemd passes this group a socket of %s", m, directive(given))
		return given
	}
	if listen.Network != "" && !listen.isAlso(given) {
		s.fail("listen", listen.String(), "listen %s: systemd passes a socket on %s for this group", listen, given)
	}
	if listen.Network != "" {
		return listen
	}
	return given
}

// directive is how a socket unit has a socket as given.
func directive(given Address) string {
	if given.IsPackets() {
		return "ListenDatagram=, which is for mode udp"
	}
	return "ListenStream=, which is for the other modes"
}

func readTLS(s *section, g *Group, ownTLS bool) {
	switch g.Mode {
	case HTTPS:
		g.Pairs = readPairs(s, ownTLS)
		g.ClientCA = s.path("client_ca")
		value, isSet := s.truth("http2", yesNo)
		g.HTTP2 = !isSet || value == "yes"
		value, _ = s.truth("move_tls", yesNo)
		g.MoveTLS = value == "yes"
	case TCP, HTTP, FCGI, UDP:
		for _, key := range []string{"key", "cert", "client_ca", "http2", "move_tls"} {
			s.forbid(key, "mode https")
		}
	}
}

// maxPairs is how many key pairs all groups together may have. Each is read, parsed and kept: a host with hundreds of names has
// room, and what costs a reader gigabytes has none.
const maxPairs = 1000

func readPairs(s *section, ownTLS bool) (pairs []KeyPair) {
	s.pairs += 1 + max(strings.Count(s.text("key"), ","), strings.Count(s.text("cert"), ","))
	if s.pairs > maxPairs {
		s.fail("cert", "", "cert and key name too many files: with the groups before this one there are %d pairs, and %d is the most", s.pairs, maxPairs)
		return nil
	}
	keys, certs := s.paths("key"), s.paths("cert")
	if !ownTLS || keys != nil || certs != nil {
		s.require("key", ": mode https needs one")
		s.require("cert", ": mode https needs one")
	}
	if keys == nil || certs == nil {
		return nil
	}
	if len(keys) != len(certs) {
		s.fail("cert", s.text("cert"), "cert and key have to name as many files, in the same order: there are %d and %d", len(certs), len(keys))
		return nil
	}
	for i := range keys {
		pairs = append(pairs, KeyPair{Key: keys[i], Cert: certs[i]})
	}
	return pairs
}

func readSocket(s *section, g *Group) {
	if !g.Listen.IsUnix() && g.Listen.Network != "" || g.Listen.abstract() {
		s.forbid("socket_mode", "the path of a Unix socket")
		s.forbid("socket_owner", "the path of a Unix socket")
		return
	}
	if value, ok := s.get("socket_mode"); ok {
		g.SocketMode = readMode(s, "socket_mode", value)
	}
	if value := s.text("socket_owner"); validOwner(value) {
		g.SocketOwner = value
	} else {
		s.fail("socket_owner", value, `socket_owner %q is not of the form "user" or "user:group"`, value)
	}
}

func readMode(s *section, key, value string) fs.FileMode {
	n, err := strconv.ParseUint(value, 8, 32)
	if err != nil || fs.FileMode(n)&^fs.ModePerm != 0 {
		s.fail(key, value, `%s %q is not an octal mode from "0000" to "0777"`, key, value)
	}
	return fs.FileMode(n)
}

func validOwner(s string) bool {
	user, group, both := strings.Cut(s, ":")
	return s == "" || user != "" && (group != "" || !both) && !strings.ContainsAny(group, ":")
}
