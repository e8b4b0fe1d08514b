package activation

import (
	"fmt"
	"net/url"
	"strings"
)

// storedPrefix tells what a daemon has had systemd keep from what a socket unit passes.
const storedPrefix = "gozd-"

// maxName is the longest name that systemd takes (FDNAME_MAX).
const maxName = 255

// StoredName is the name under which systemd keeps the socket of a group: the group's, and the address as the
// configuration has it ("gozd-web@127.0.0.1%3A80"), since what an address in words or port 0 has become does not say
// what was meant.
func StoredName(group, address string) (string, error) {
	name := storedPrefix + group + "@" + escape(address)
	if len(name) > maxName {
		return "", fmt.Errorf("systemd keeps no socket with a name of %d bytes: %s", len(name), name)
	}
	return name, nil
}

// escape leaves what systemd takes in a name: ASCII without control characters and the colon, which
// separates names.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == ':' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// IsStored reports whether systemd has had the socket from the daemon itself, in an earlier life of it.
func (s Socket) IsStored() bool {
	_, _, ok := s.Stored()
	return ok
}

// Stored returns what StoredName was given; ok is false for a socket of a socket unit.
func (s Socket) Stored() (group, address string, ok bool) {
	rest, ok := strings.CutPrefix(s.Name, storedPrefix)
	if !ok {
		return "", "", false
	}
	group, text, ok := strings.Cut(rest, "@")
	if !ok {
		return "", "", false
	}
	address, err := url.PathUnescape(text)
	return group, address, err == nil
}
