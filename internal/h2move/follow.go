package h2move

import (
	"encoding/binary"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// In follows what the client says. It is for one goroutine at a time.
type In struct {
	Frames

	// Saw, if not nil, is called for each complete frame with a payload of at most 8 bytes, which it must not keep.
	Saw func(h *Header, payload []byte)

	never    string // why the connection cannot move any more; "" if it can
	settings Settings
	said     bool // the first SETTINGS are there
	acks     int
	last     uint32 // the highest stream
	data     int64  // bytes of DATA, with padding
	credit   int64  // by WINDOW_UPDATE for the connection
	block    block
	table    *hpack.Decoder // nil if only Saw is of interest
}

// maxString is the longest string in a header that is followed. The server has a limit of its own, commonly of the same size.
const maxString = 1 << 20

// Track has in know all that a State needs, from the next byte on: at the beginning, or after restored. tableSize is the
// SETTINGS_HEADER_TABLE_SIZE of the server.
func (in *In) Track(tableSize uint32) { in.table = newTable(tableSize) }

func newTable(size uint32) *hpack.Decoder {
	d := hpack.NewDecoder(size, func(hpack.HeaderField) {})
	d.SetEmitEnabled(false)
	d.SetMaxStringLength(maxString)
	return d
}

// Follow takes the next bytes.
func (in *In) Follow(b []byte) { in.Frames.Follow(b, in) }

// Part implements Watcher.
func (in *In) Part(h *Header, b []byte) {
	if in.table != nil && isBlock(h) {
		in.decode(h, b)
	}
}

func isBlock(h *Header) bool {
	return h.Type() == http2.FrameHeaders || h.Type() == http2.FrameContinuation
}

// decode gives a part of a header block to the decoder, which knows the client's table then.
func (in *In) decode(h *Header, b []byte) {
	if in.never != "" {
		return
	}
	if _, err := in.table.Write(in.block.fragment(h, b)); err != nil {
		in.never = "its headers cannot be followed"
	}
}

// Frame implements Watcher.
func (in *In) Frame(h *Header, payload []byte) {
	if in.Saw != nil && h.Len() <= maxShort {
		in.Saw(h, payload)
	}
	if in.table == nil {
		return
	}
	switch h.Type() {
	case http2.FrameHeaders, http2.FrameContinuation:
		in.sawBlock(h, payload)
	case http2.FrameData:
		in.data += int64(h.Len())
	case http2.FrameWindowUpdate:
		if h.Stream() == 0 && len(payload) == 4 {
			in.credit += int64(binary.BigEndian.Uint32(payload) &^ (1 << 31))
		}
	case http2.FrameSettings:
		in.sawSettings(h, payload)
	case http2.FrameGoAway:
		in.never = "its client has said that it goes"
	case http2.FramePushPromise:
		in.never = "its client has made a mistake"
	}
}

func (in *In) sawBlock(h *Header, payload []byte) {
	if h.keeps() {
		in.decode(h, payload)
	}
	in.block = block{}
	if h.Type() == http2.FrameHeaders {
		in.last = max(in.last, h.Stream())
	}
	if h.Has(http2.FlagHeadersEndHeaders) && in.table.Close() != nil {
		in.never = "its headers cannot be followed"
	}
}

func (in *In) sawSettings(h *Header, payload []byte) {
	switch {
	case h.Has(http2.FlagSettingsAck):
		in.acks++
	case !h.keeps():
		in.never = "its client has too many settings"
	default:
		in.said = true
		in.settings.take(payload)
	}
}

// Last returns the highest stream that the client has begun.
func (in *In) Last() uint32 { return in.last }

// block finds the fragment of a header block in the payload of a HEADERS frame: behind the length of the padding and the
// priority, and before the padding (RFC 9113, section 6.2). The zero value is at the beginning of a frame.
type block struct {
	at  int // bytes of the payload that have passed
	pad int
}

// fragment returns what of b, the next part of a payload, belongs to the fragment.
func (k *block) fragment(h *Header, b []byte) []byte {
	if h.Type() == http2.FrameContinuation {
		return b
	}
	before := 0
	if h.Has(http2.FlagHeadersPadded) {
		before = 1
		if k.at == 0 && len(b) > 0 {
			k.pad = int(b[0])
		}
	}
	if h.Has(http2.FlagHeadersPriority) {
		before += 5
	}
	from := max(before-k.at, 0)
	to := min(h.Len()-k.pad-k.at, len(b))
	k.at += len(b)
	if from >= to {
		return nil
	}
	return b[from:to]
}

// Out follows what the server says. It is for one goroutine at a time.
type Out struct {
	Frames
	never    string
	away     bool // the client
	settings Settings
	sent     int   // SETTINGS that the client has to acknowledge
	data     int64 // bytes of DATA, with padding
	credit   int64 // by WINDOW_UPDATE for the connection
}

// Follow takes the next bytes.
func (o *Out) Follow(b []byte) { o.Frames.Follow(b, o) }

// HasGoAway reports whether the client has been sent away.
func (o *Out) HasGoAway() bool { return o.away }

// Part implements Watcher.
func (o *Out) Part(*Header, []byte) {}

// Frame implements Watcher.
func (o *Out) Frame(h *Header, payload []byte) {
	switch h.Type() {
	case http2.FrameData:
		o.data += int64(h.Len())
	case http2.FrameWindowUpdate:
		if h.Stream() == 0 && len(payload) == 4 {
			o.credit += int64(binary.BigEndian.Uint32(payload))
		}
	case http2.FrameSettings:
		if !h.Has(http2.FlagSettingsAck) {
			o.sent++
			o.settings.take(payload)
		}
	case http2.FrameGoAway:
		o.never, o.away = "its client has been sent away", true
	case http2.FramePushPromise:
		o.never = "the server has pushed" // its numbers of streams would begin anew
	}
}
