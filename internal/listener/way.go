package listener

import "slices"

// Way is how a connection moves. Each has a key of its own, so that no generation takes one for another: who does not know a way does not know its
// key either, and is never offered a connection by it.
type Way int

// The ways. By all but the first two, connections bring a state that an adapter has to admit.
const (
	OpenWay     Way = iota // its bytes are those of the protocol; a state of the program's may go along
	SilentWay              // TLS is spoken on it, and neither side has said anything
	SealedWay              // with the state of a layer over it, such as TLS: see Cargo
	HTTP2Way               // with the state of HTTP/2
	HijackedWay            // with the state of a program that has taken it over from an adapter
)

var ways = [...]Way{OpenWay, SilentWay, SealedWay, HTTP2Way, HijackedWay}

// key is what a successor knows a way by; "" if connections do not move by it.
func (o *Options) key(w Way) string {
	switch w {
	case SilentWay:
		return o.SilentKey
	case SealedWay:
		return o.SealedKey
	case HTTP2Way:
		return prefixed("h2 ", o.HandoverKey)
	case HijackedWay:
		return prefixed("hijacked ", o.HandoverKey)
	}
	return o.HandoverKey
}

func prefixed(prefix, key string) string {
	if key == "" {
		return ""
	}
	return prefix + key
}

// way undoes key.
func (o *Options) way(key string) (w Way, ok bool) {
	i := slices.IndexFunc(ways[:], func(w Way) bool { return key != "" && o.key(w) == key })
	if i < 0 {
		return 0, false
	}
	return ways[i], true
}

func (o *Options) isTaken(w Way, by Successor) bool { return o.key(w) != "" && by.Takes(o.key(w)) }
