package wsx

import "encoding/binary"

// frames follows one direction of a WebSocket (RFC 6455, section 5.2).
type frames struct {
	head   [maxHead]byte // of the frame that has begun
	have   int           // how much of it there is
	left   uint64        // of the frame's payload
	begun  bool          // the last frame of a message is still to come
	closed bool          // there was a close frame
}

// maxHead is the longest head of a frame: two bytes, a length of eight, a mask of four.
const maxHead = 2 + 8 + 4

const (
	finBit     = 0x80
	maskBit    = 0x80
	opcodeBits = 0x0f
	opClose    = 0x8
	opPing     = 0x9
	controlBit = 0x8 // of an opcode
)

// next follows b as far as one frame goes, and returns how much that is.
func (f *frames) next(b []byte) int {
	n := 0
	for f.have < f.headLen() && n < len(b) {
		f.head[f.have] = b[n]
		f.have++
		n++
		if f.have == f.headLen() {
			f.left = f.payloadLen()
		}
	}
	if f.have < f.headLen() {
		return n
	}
	m := min(f.left, uint64(len(b)-n)) //nolint:gosec // not negative
	if f.left -= m; f.left == 0 {
		f.end()
	}
	return n + int(m) //nolint:gosec // at most len(b)
}

// all follows b to its end.
func (f *frames) all(b []byte) {
	for len(b) > 0 {
		b = b[f.next(b):]
	}
}

// headLen is the length of the head, as far as that is known.
func (f *frames) headLen() int {
	n := 2
	if f.have < n {
		return n
	}
	switch f.head[1] &^ maskBit {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&maskBit != 0 {
		n += 4
	}
	return n
}

// payloadLen is that of a head that is complete.
func (f *frames) payloadLen() uint64 {
	switch n := f.head[1] &^ maskBit; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// end is the end of a frame.
func (f *frames) end() {
	f.have = 0
	switch op := f.head[0] & opcodeBits; {
	case op == opClose:
		f.closed = true
	case op&controlBit == 0: // others may come amid a message
		f.begun = f.head[0]&finBit == 0
	}
}

// isBetween reports whether no message is under way, and none is excluded.
func (f *frames) isBetween() bool { return f.have == 0 && !f.begun && !f.closed }
