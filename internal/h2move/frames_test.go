package h2move_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
)

// short is a Watcher that writes down the frames of up to 8 bytes.
type short []string

func (*short) Part(*h2move.Header, []byte) {}

func (s *short) Frame(h *h2move.Header, payload []byte) {
	if h.Len() <= 8 {
		*s = append(*s, fmt.Sprintf("%x %x", *h, payload))
	}
}

// followed returns the frames of up to 8 bytes in wire, given to a follower in
// chunks of the sizes given, over and over, and whether it ends at a boundary.
func followed(skip int, wire, sizes []byte) (saw short, atBoundary bool) {
	f := h2move.Frames{Skip: skip}
	for i := 0; len(wire) > 0; i++ {
		n := len(wire)
		if len(sizes) > 0 {
			n = min(n, 1+int(sizes[i%len(sizes)]))
		}
		f.Follow(wire[:n], &saw)
		wire = wire[n:]
	}
	return saw, f.AtBoundary()
}

// parsed is followed, written down from RFC 9113, and also returns the place of
// every boundary: behind a frame that is no header block, or ends one.
func parsed(skip int, wire []byte) (short []string, boundaries []int) {
	at := min(skip, len(wire))
	for len(wire)-at >= 9 {
		n := int(wire[at])<<16 | int(wire[at+1])<<8 | int(wire[at+2])
		if len(wire)-at-9 < n {
			break
		}
		header, payload := wire[at:at+9], wire[at+9:][:n]
		at += 9 + n
		if n <= 8 {
			short = append(short, fmt.Sprintf("%x %x", header, payload))
		}
		switch http2.FrameType(header[3]) {
		case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
			if header[4]&0x4 == 0 { // END_HEADERS
				continue
			}
		}
		boundaries = append(boundaries, at)
	}
	return short, boundaries
}

func FuzzFrames(f *testing.F) {
	var wire bytes.Buffer
	fr := http2.NewFramer(&wire, nil)
	if err := errors.Join(
		fr.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 15}),
		fr.WriteSettingsAck(),
		fr.WritePing(true, [8]byte{1, 2, 3}),
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("block")}),
		fr.WriteContinuation(1, true, []byte("its end")),
		fr.WriteData(1, true, make([]byte, 300)),
	); err != nil {
		f.Fatal(err)
	}
	f.Add(wire.Bytes(), []byte{}, uint8(0))
	f.Add(wire.Bytes(), []byte{0}, uint8(0))
	f.Add(append([]byte(http2.ClientPreface), wire.Bytes()...), []byte{8, 0, 99}, uint8(len(http2.ClientPreface)))
	f.Add(wire.Bytes()[:100], []byte{3}, uint8(0))
	f.Add(wire.Bytes()[:64], []byte{41}, uint8(0)) // ends in CONTINUATION
	f.Add([]byte{0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 1, 7}, []byte{}, uint8(3))
	f.Fuzz(func(t *testing.T, wire, sizes []byte, skip uint8) {
		want, boundaries := parsed(int(skip), wire)
		wantEnd := len(wire) > 0 && slices.Contains(boundaries, len(wire))
		for _, sizes := range [][]byte{nil, {0}, sizes} {
			got, end := followed(int(skip), wire, sizes)
			if !slices.Equal([]string(got), want) || end != wantEnd {
				t.Errorf("in chunks of %v+1: %v, at boundary %v, want %v, %v", sizes, got, end, want, wantEnd)
			}
		}
		if len(sizes) == 0 {
			return
		}
		// After any number of bytes, the next boundary is where it is parsed.
		at := min(int(sizes[0]), len(wire))
		fl := h2move.Frames{Skip: int(skip)}
		fl.Follow(wire[:at], nil)
		next := len(wire)
		if i := slices.IndexFunc(boundaries, func(b int) bool { return b > at }); i >= 0 {
			next = boundaries[i]
		}
		for range 2 { // it does not move
			if got := fl.UntilBoundary(wire[at:]); got != next-at {
				t.Errorf("UntilBoundary after %d bytes = %d, want %d", at, got, next-at)
			}
		}
	})
}
