package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Address is where a group listens. Addresses from [ParseAddress] hold IP
// addresses, ports and paths in one spelling only, so that == tells whether an
// address has changed.
type Address struct {
	// Network is "tcp" or "unix"; for datagrams "udp" or "unixgram".
	Network string

	// Address is host:port, where the host may be empty, or the path of a
	// socket, or @name for a socket in Linux's abstract namespace.
	Address string
}

// IsUnix reports whether a is that of a Unix socket.
func (a Address) IsUnix() bool { return a.Network == "unix" || a.Network == "unixgram" }

// IsPackets reports whether a is one for datagrams.
func (a Address) IsPackets() bool { return a.Network == "udp" || a.Network == "unixgram" }

// unixPrefix marks the path of a Unix socket that does not start with a slash.
const unixPrefix = "unix:"

// String returns a in a form that [ParseAddress] reads back as a, in any mode.
func (a Address) String() string {
	if a.IsUnix() && !strings.HasPrefix(a.Address, "/") && !a.abstract() {
		return unixPrefix + a.Address
	}
	return a.Address
}

// Bind returns what to call net.Listen with. The network is Network except for
// 0.0.0.0: there it is "tcp4" or "udp4", since net.Listen("tcp", "0.0.0.0:80") accepts
// IPv6 as well and fails where another socket has [::1]:80.
func (a Address) Bind() (network, address string) {
	if ip, err := netip.ParseAddrPort(a.Address); err == nil && !a.IsUnix() && ip.Addr() == netip.IPv4Unspecified() {
		return a.Network + "4", a.Address
	}
	return a.Network, a.Address
}

func (a Address) abstract() bool {
	return a.IsUnix() && strings.HasPrefix(a.Address, "@")
}

// ParseAddress reads the address of a group of mode m. It accepts
//
//	host:port  [v6]:port  :port  port       a TCP address; port 0 is any port
//	ip  v6  [v6]                            the same on the mode's usual port
//	/path  unix:/path  unix:relative/path   a Unix socket
//	@name  unix:@name                       one in Linux's abstract namespace
//
// A host is an IP address or a name, which is not looked up. The usual ports
// are 80, 443 and 9000 for http, https and fcgi; tcp and udp have none. Mode udp has the same addresses, for datagrams. Ports are
// numbers: the names of services depend on the machine. A path is cleaned, but
// not made absolute. One that is too long for the system's socket addresses is
// an error.
func ParseAddress(s string, m Mode) (Address, error) {
	a, err := parseAddress(s, m)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	if m == UDP {
		if ip, err := netip.ParseAddrPort(a.Address); err == nil && ip.Addr().IsMulticast() {
			return Address{}, fmt.Errorf("address %q: a multicast address is shared by all who want it, and no group can have it for itself", s)
		}
		a.Network = map[string]string{"tcp": "udp", "unix": "unixgram"}[a.Network]
	}
	return a, nil
}

func parseAddress(s string, m Mode) (Address, error) {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		return unixAddress(path)
	}
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@") {
		return unixAddress(s)
	}
	if strings.Contains(s, "/") {
		return Address{}, errors.New(`a relative path is written "unix:path", and a URL is no address`)
	}
	return tcpAddress(s, m)
}

func unixAddress(path string) (Address, error) {
	if path == "" || path == "@" {
		return Address{}, errors.New("the name of the socket is missing")
	}
	if strings.Contains(path, "\x00") {
		return Address{}, errors.New("a path cannot hold a NUL byte")
	}
	if strings.HasPrefix(path, "@") {
		if runtime.GOOS != "linux" {
			return Address{}, errors.New("abstract sockets exist on linux only")
		}
	} else if path = filepath.Clean(path); strings.HasPrefix(path, "@") {
		path = "./" + path // what was a file has to stay one
	}
	return Address{"unix", path}, checkSocketPath(path)
}

// checkSocketPath returns an error if path does not fit into sockaddr_un. The
// system would only say "invalid argument".
func checkSocketPath(path string) error {
	if limit := maxSocketPath(runtime.GOOS); len(path) > limit {
		return fmt.Errorf("a socket's path has at most %d bytes on %s, this one has %d", limit, runtime.GOOS, len(path))
	}
	return nil
}

// maxSocketPath is the size of sun_path without the NUL byte at its end.
func maxSocketPath(goos string) int {
	switch goos {
	case "darwin", "ios", "dragonfly", "freebsd", "netbsd", "openbsd":
		return 103
	}
	return 107
}

func tcpAddress(s string, m Mode) (Address, error) {
	host, port, err := splitHostPort(s, m)
	if err != nil {
		return Address{}, err
	}
	n, err := parsePort(port)
	if err != nil {
		return Address{}, err
	}
	if host, err = parseHost(host, strings.HasPrefix(s, "[")); err != nil {
		return Address{}, err
	}
	return Address{"tcp", net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

func splitHostPort(s string, m Mode) (host, port string, err error) {
	if digits(s) {
		return "", s, nil
	}
	if ip, ok := bareIP(s); ok {
		port, err = usualPort(m)
		return ip, port, err
	}
	host, port, err = net.SplitHostPort(s)
	if ae := (*net.AddrError)(nil); errors.As(err, &ae) {
		return "", "", errors.New(ae.Err) // without the address: ParseAddress has it
	}
	return host, port, err
}

// bareIP returns the IP address that s consists of. In brackets it has to be an
// IPv6 address.
func bareIP(s string) (string, bool) {
	inner, bracketed := strings.CutPrefix(s, "[")
	if bracketed {
		if inner, bracketed = strings.CutSuffix(inner, "]"); !bracketed {
			return "", false
		}
	}
	ip, err := netip.ParseAddr(inner)
	return inner, err == nil && (!bracketed || ip.Is6())
}

func usualPort(m Mode) (string, error) {
	switch m {
	case HTTP:
		return "80", nil
	case HTTPS:
		return "443", nil
	case FCGI:
		return "9000", nil
	}
	return "", fmt.Errorf("the port is missing, and mode %s has no usual one", m)
}

func parsePort(s string) (uint64, error) {
	if !digits(s) {
		return 0, fmt.Errorf("port %q is not a number", s)
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port %s is over 65535", s)
	}
	return n, nil
}

// parseHost returns host, in the usual form if it is an IP address.
func parseHost(host string, bracketed bool) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil && (ip.Is6() || !bracketed) && hostname(ip.Zone()) {
		return ip.String(), nil
	}
	switch {
	case host == "*":
		return "", errors.New(`every address is written without a host, as in ":80"`)
	case bracketed:
		return "", fmt.Errorf("%q is not an IPv6 address", host)
	case !hostname(host):
		return "", fmt.Errorf("%q is not a host", host)
	case digits(lastLabel(host)):
		// No name ends so; looking it up would only take long to fail.
		return "", fmt.Errorf("%q is not an IP address", host)
	}
	return host, nil
}

func lastLabel(host string) string {
	host = strings.TrimSuffix(host, ".")
	return host[strings.LastIndexByte(host, '.')+1:]
}

// hostname reports whether s could be one. The empty string could.
func hostname(s string) bool {
	return len(s) <= 253 && strings.Trim(s, nameChars) == ""
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
