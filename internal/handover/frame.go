package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// kind says what a frame is.
type kind byte

const (
	kindKeys    kind = iota + 1 // from the receiver: the keys that it takes, as JSON
	kindConn                    // a connection, with its descriptor: length of the key, key, state
	kindChannel                 // the receiving end of another channel, with its descriptor
	kindTaken                   // from the receiver: what came as seq is its own now
	kindRefused                 // from the receiver: it is not, and stays with the sender; why
)

// headerLen is the length of a frame's header: kind, seq, length of the payload.
const headerLen = 1 + 4 + 4

const (
	// MaxState is the most state in bytes that goes with a connection.
	MaxState = 1 << 20

	// maxPayload leaves room for a key.
	maxPayload = MaxState + 1<<10
)

// errTooLong is returned for a frame or a state that is longer than allowed.
var errTooLong = errors.New("too long")

// frame is one message.
type frame struct {
	kind    kind
	seq     uint32 // of the frame, or of the one that it answers
	payload []byte
}

func (f *frame) append(b []byte) []byte {
	b = append(b, byte(f.kind))
	b = binary.BigEndian.AppendUint32(b, f.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.payload)))
	return append(b, f.payload...)
}

// parseHeader returns a frame without its payload, and how long that is.
func parseHeader(b [headerLen]byte) (frame, int, error) {
	f := frame{kind: kind(b[0]), seq: binary.BigEndian.Uint32(b[1:])}
	n := binary.BigEndian.Uint32(b[5:])
	if f.kind < kindKeys || f.kind > kindRefused {
		return frame{}, 0, fmt.Errorf("handover: unknown kind of frame %d", f.kind)
	}
	if n > maxPayload {
		return frame{}, 0, fmt.Errorf("handover: frame of %d bytes: %w", n, errTooLong)
	}
	return f, int(n), nil
}

// connPayload is the payload of kindConn.
func connPayload(key string, state []byte) ([]byte, error) {
	if len(key) > 255 {
		return nil, fmt.Errorf("handover: key of %d bytes: %w", len(key), errTooLong)
	}
	if len(state) > MaxState {
		return nil, fmt.Errorf("handover: state of %d bytes, at most %d: %w", len(state), MaxState, errTooLong)
	}
	b := make([]byte, 0, 1+len(key)+len(state)) // at once, so that append leaves no copy of secrets behind
	b = append(b, byte(len(key)))
	b = append(b, key...)
	return append(b, state...), nil
}

// parseConn undoes connPayload. An empty state is nil.
func parseConn(payload []byte) (key string, state []byte, err error) {
	if len(payload) == 0 || len(payload) < 1+int(payload[0]) {
		return "", nil, errors.New("handover: frame of a connection is cut short")
	}
	n := 1 + int(payload[0])
	if len(payload) > n {
		state = payload[n:]
	}
	return string(payload[1:n]), state, nil
}
