package config

import (
	"net"
	"net/netip"
	"strings"
)

// conflicts reports whether a and b cannot both be listened on. It errs on the
// side of no: what a name stands for, the system knows better.
func (a Address) conflicts(b Address) bool {
	if a.IsUnix() && b.IsUnix() {
		return a.Address == b.Address // one file, whatever the type
	}
	if a.Network != b.Network {
		return false
	}
	hostA, portA, errA := net.SplitHostPort(a.Address)
	hostB, portB, errB := net.SplitHostPort(b.Address)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostsOverlap(hostA, hostB)
}

func hostsOverlap(a, b string) bool {
	if everyHost(a) || everyHost(b) {
		return true
	}
	ipA, errA := netip.ParseAddr(a)
	ipB, errB := netip.ParseAddr(b)
	if errA != nil || errB != nil {
		return strings.EqualFold(a, b)
	}
	ipA, ipB = ipA.Unmap(), ipB.Unmap()
	if ipA.Is4() && ipB.Is4() && (ipA.IsUnspecified() || ipB.IsUnspecified()) {
		return true
	}
	return ipA == ipB
}

// everyHost reports whether host stands for all addresses of both families, as
// an empty one does, and [::] too: Go's sockets for it are dual-stack.
func everyHost(host string) bool {
	return host == "" || host == netip.IPv6Unspecified().String()
}

// isAlso reports whether a socket on bound, an address that the system has given, is what
// was meant by a. Names are not looked up, but for the one that always means the same.
func (a Address) isAlso(bound Address) bool {
	if a.Network != bound.Network {
		return false
	}
	if a == bound || a.IsUnix() {
		return a == bound
	}
	host, port, err1 := net.SplitHostPort(a.Address)
	boundHost, boundPort, err2 := net.SplitHostPort(bound.Address)
	if err1 != nil || err2 != nil || port != boundPort && port != "0" {
		return false
	}
	ip, err := netip.ParseAddr(boundHost)
	switch {
	case err != nil:
		return false
	case host == "": // a system without IPv6 has no other socket for it
		return ip.IsUnspecified()
	case host == "localhost":
		return ip.IsLoopback()
	}
	was, err := netip.ParseAddr(host)
	return err == nil && was.Unmap() == ip.Unmap()
}

// MayBe reports whether a socket on bound, an address that the system has given, may be what was meant by a. A name, which is not
// looked up, may stand for any one host.
func (a Address) MayBe(bound Address) bool {
	host, port, err1 := net.SplitHostPort(a.Address)
	boundHost, boundPort, err2 := net.SplitHostPort(bound.Address)
	if a.IsUnix() || a.Network != bound.Network || err1 != nil || err2 != nil || !isName(host) {
		return a.isAlso(bound)
	}
	ip, err := netip.ParseAddr(boundHost)
	return err == nil && !ip.IsUnspecified() && (port == boundPort || port == "0")
}

// isName tells a host that has to be looked up from one that means the same everywhere.
func isName(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && host != "" && host != "localhost"
}
