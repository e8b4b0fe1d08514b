package httpx

import (
	"encoding/binary"
	"math"

	"golang.org/x/net/http2"
)

// frameHeaderLen is the length of a frame header: 24 bits of length, type,
// flags, stream (RFC 9113, section 4.1).
const frameHeaderLen = 9

// maxWatched is the longest payload that frames keeps: that of a PING.
const maxWatched = 8

// pingData marks our PINGs among those of the server.
var pingData = [8]byte{'g', 'o', 'z', 'd', ' ', 'b', 'y', 'e'}

// goAwayPing is a PING whose answer is looked for.
var goAwayPing = append([]byte{0, 0, 8, byte(http2.FramePing), 0, 0, 0, 0, 0}, pingData[:]...)

// goAwayAndPing are the two frames that send a client away.
var goAwayAndPing = func() []byte {
	const maxStreamID = math.MaxInt32
	b := []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, maxStreamID)
	b = binary.BigEndian.AppendUint32(b, uint32(http2.ErrCodeNo))
	return append(b, goAwayPing...)
}()

func isPingAck(header [frameHeaderLen]byte, payload []byte) bool {
	return http2.FrameType(header[3]) == http2.FramePing &&
		http2.Flags(header[4]).Has(http2.FlagPingAck) && string(payload) == string(pingData[:])
}

// frames follows a stream of HTTP/2 frames that arrives in pieces of any size.
// The zero value is at the start of a stream without a preface.
type frames struct {
	skip   int // bytes of preface still to come
	header [frameHeaderLen]byte
	have   int // bytes of header that are there
	left   int // bytes of payload still to come
	short  []byte
	block  bool // a header block is begun: only its CONTINUATION may follow
	count  int  // complete frames; a header block in several of them is one
}

// atBoundary reports whether the last frame is complete, and there was one.
func (f *frames) atBoundary() bool { return f.count > 0 && f.have == 0 && !f.block }

// follow takes the next bytes of the stream. saw, if non-nil, is called for
// every complete frame with a payload of at most maxWatched bytes; it must not
// keep the payload.
func (f *frames) follow(b []byte, saw func(header [frameHeaderLen]byte, payload []byte)) {
	for len(b) > 0 {
		n := f.step(b)
		b = b[n:]
		if f.have == frameHeaderLen && f.left == 0 {
			f.complete(saw)
		}
	}
}

// step takes a part of b that is all preface, all header or all payload, and
// returns its length.
func (f *frames) step(b []byte) int {
	switch {
	case f.skip > 0:
		n := min(f.skip, len(b))
		f.skip -= n
		return n
	case f.have < frameHeaderLen:
		n := copy(f.header[f.have:], b)
		f.have += n
		if f.have == frameHeaderLen {
			f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
		}
		return n
	}
	n := min(f.left, len(b))
	if f.payloadLen() <= maxWatched {
		f.short = append(f.short, b[:n]...)
	}
	f.left -= n
	return n
}

func (f *frames) payloadLen() int {
	return int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
}

func (f *frames) complete(saw func([frameHeaderLen]byte, []byte)) {
	if saw != nil && f.payloadLen() <= maxWatched {
		saw(f.header, f.short)
	}
	f.short = f.short[:0]
	f.have = 0
	switch http2.FrameType(f.header[3]) {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		f.block = !http2.Flags(f.header[4]).Has(http2.FlagHeadersEndHeaders)
	default: // in the midst of a block there can be none
		f.block = false
	}
	if !f.block {
		f.count++
	}
}

// untilBoundary returns how much of b belongs to the frame or header block that
// is begun, or to the next one if none is: all of b when that does not end in
// it. It does not move f.
func (f *frames) untilBoundary(b []byte) int {
	probe := *f
	probe.short = nil
	count := probe.count
	for taken := 0; taken < len(b); {
		taken += probe.step(b[taken:])
		if probe.have == frameHeaderLen && probe.left == 0 {
			probe.complete(nil)
		}
		if probe.count > count {
			return taken
		}
	}
	return len(b)
}
