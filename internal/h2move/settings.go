package h2move

import (
	"encoding/binary"
	"math"
	"slices"

	"golang.org/x/net/http2"
)

// Settings are those of one side that are in force, each once. What is missing has its default.
type Settings []http2.Setting

// defaults are the values of RFC 9113, section 6.5.2; where there is no limit, the largest there is.
var defaults = map[http2.SettingID]uint32{
	http2.SettingHeaderTableSize:       4096,
	http2.SettingEnablePush:            1,
	http2.SettingMaxConcurrentStreams:  math.MaxUint32,
	http2.SettingInitialWindowSize:     initialWindow,
	http2.SettingMaxFrameSize:          16384,
	http2.SettingMaxHeaderListSize:     math.MaxUint32,
	http2.SettingEnableConnectProtocol: 0,
	http2.SettingNoRFC7540Priorities:   0,
}

// initialWindow is the flow-control window of a new connection in either direction, and of streams by default
// (RFC 9113, section 6.9.2).
const initialWindow = 65535

// Get returns the value of one.
func (s Settings) Get(id http2.SettingID) uint32 {
	for _, set := range s {
		if set.ID == id {
			return set.Val
		}
	}
	return defaults[id]
}

// Equal reports whether both say the same.
func (s Settings) Equal(t Settings) bool {
	for id := range defaults {
		if s.Get(id) != t.Get(id) {
			return false
		}
	}
	return true
}

// set is a setting that comes into force. Unknown ones have no effect (RFC 9113, section 6.5.2).
func (s *Settings) set(set http2.Setting) {
	if _, known := defaults[set.ID]; !known {
		return
	}
	if i := slices.IndexFunc(*s, func(old http2.Setting) bool { return old.ID == set.ID }); i >= 0 {
		(*s)[i] = set
		return
	}
	*s = append(*s, set)
}

// take sets those in the payload of a SETTINGS frame.
func (s *Settings) take(payload []byte) {
	for ; len(payload) >= 6; payload = payload[6:] {
		s.set(http2.Setting{
			ID:  http2.SettingID(binary.BigEndian.Uint16(payload)),
			Val: binary.BigEndian.Uint32(payload[2:]),
		})
	}
}
