package h2move

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// HeaderLen is the length of a frame header: 24 bits of length, type,
// flags, stream (RFC 9113, section 4.1).
const HeaderLen = 9

// Header is that of a frame.
type Header [HeaderLen]byte

// Len is the length of the payload.
func (h *Header) Len() int { return int(h[0])<<16 | int(h[1])<<8 | int(h[2]) }

// Type is that of the frame.
func (h *Header) Type() http2.FrameType { return http2.FrameType(h[3]) }

// Has reports whether a flag is set.
func (h *Header) Has(f http2.Flags) bool { return http2.Flags(h[4]).Has(f) }

// Stream is the stream that the frame is on.
func (h *Header) Stream() uint32 { return binary.BigEndian.Uint32(h[5:]) &^ (1 << 31) }

const (
	maxShort    = 8       // the longest payload that is kept of any frame: that of a PING
	maxSettings = 100 * 6 // and of SETTINGS: x/net takes no more than 100 of them (server.go, processSettings, v0.58.0)
)

// keeps reports whether the payload is kept until the frame is complete.
func (h *Header) keeps() bool {
	return h.Len() <= maxShort || h.Type() == http2.FrameSettings && h.Len() <= maxSettings
}

// Watcher is told what Frames finds.
type Watcher interface {
	// Part is given the payload of a frame that is not kept, in pieces.
	Part(h *Header, b []byte)

	// Frame is called at the end of a frame, with its payload if that is kept. It must not keep it.
	Frame(h *Header, payload []byte)
}

// Frames follows a stream of HTTP/2 frames that arrives in pieces of any size.
// The zero value is at the start of a stream without a preface.
type Frames struct {
	Skip   int // bytes of preface still to come
	header Header
	have   int // bytes of header that are there
	left   int // bytes of payload still to come
	kept   []byte
	block  bool // a header block is begun: only its CONTINUATION may follow
	count  int  // complete frames; a header block in several of them is one
}

// AtBoundary reports whether the last frame is complete, and there was one.
func (f *Frames) AtBoundary() bool { return f.count > 0 && f.between() }

// between reports whether no frame and no header block is begun.
func (f *Frames) between() bool { return f.have == 0 && !f.block && f.Skip == 0 }

// Follow takes the next bytes of the stream, and tells w, if that is not nil.
func (f *Frames) Follow(b []byte, w Watcher) {
	for len(b) > 0 {
		n := f.step(b, w)
		b = b[n:]
		if f.have == HeaderLen && f.left == 0 {
			f.complete(w)
		}
	}
}

// step takes a part of b that is all preface, all header or all payload, and
// returns its length.
func (f *Frames) step(b []byte, w Watcher) int {
	switch {
	case f.Skip > 0:
		n := min(f.Skip, len(b))
		f.Skip -= n
		return n
	case f.have < HeaderLen:
		n := copy(f.header[f.have:], b)
		f.have += n
		if f.have == HeaderLen {
			f.left = f.header.Len()
		}
		return n
	}
	n := min(f.left, len(b))
	if f.header.keeps() {
		f.kept = append(f.kept, b[:n]...)
	} else if w != nil {
		w.Part(&f.header, b[:n])
	}
	f.left -= n
	return n
}

func (f *Frames) complete(w Watcher) {
	if w != nil {
		w.Frame(&f.header, f.kept)
	}
	f.kept = f.kept[:0]
	f.have = 0
	switch f.header.Type() {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		f.block = !f.header.Has(http2.FlagHeadersEndHeaders)
	default: // in the midst of a block there can be none
		f.block = false
	}
	if !f.block {
		f.count++
	}
}

// UntilBoundary returns how much of b belongs to the frame or header block that
// is begun, or to the next one if none is: all of b when that does not end in
// it. It does not move f.
func (f *Frames) UntilBoundary(b []byte) int {
	probe := *f
	probe.kept = nil
	for taken := 0; taken < len(b); {
		taken += probe.step(b[taken:], nil)
		if probe.have == HeaderLen && probe.left == 0 {
			probe.complete(nil)
		}
		if probe.count > f.count {
			return taken
		}
	}
	return len(b)
}

// rest returns how much of b belongs to the frame that is begun, if one is, and tells w of that. It does not move f.
func (f *Frames) rest(b []byte, w Watcher) int {
	if f.have == 0 {
		return 0
	}
	probe := *f
	probe.kept = nil
	for taken := 0; taken < len(b); {
		taken += probe.step(b[taken:], w)
		if probe.have == HeaderLen && probe.left == 0 {
			probe.complete(w)
			return taken
		}
	}
	return len(b)
}
