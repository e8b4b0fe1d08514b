package handover_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

func TestFrameRoundTrip(t *testing.T) {
	tests := []struct {
		name    string
		kind    byte
		seq     uint32
		payload []byte
	}{
		{"keys", handover.KindKeys, 0, []byte(`["http web"]`)},
		{"a connection", handover.KindConn, 1, []byte("\x03webstate")},
		{"a channel", handover.KindChannel, 1 << 31, nil},
		{"taken", handover.KindTaken, 1<<32 - 1, nil},
		{"refused", handover.KindRefused, 256, []byte("too many open files")},
		{"the longest", handover.KindConn, 7, make([]byte, handover.MaxPayload)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := handover.AppendFrame([]byte("before"), tt.kind, tt.seq, tt.payload)[len("before"):]
			kind, seq, size, err := handover.ParseHeader([handover.HeaderLen]byte(b))
			if err != nil || kind != tt.kind || seq != tt.seq || size != len(tt.payload) {
				t.Errorf("ParseHeader = %d, %d, %d, %v, want %d, %d, %d", kind, seq, size, err, tt.kind, tt.seq, len(tt.payload))
			}
			if got := b[handover.HeaderLen:]; !bytes.Equal(got, tt.payload) {
				t.Errorf("%d bytes after the header, want the payload of %d", len(got), len(tt.payload))
			}
		})
	}
}

func TestParseHeaderErrors(t *testing.T) {
	tests := []struct {
		name string
		kind byte
		size uint32
		long bool // the error is ErrTooLong
	}{
		{"kind 0", 0, 0, false},
		{"unknown kind", handover.KindRefused + 1, 0, false},
		{"kind 255", 255, 0, false},
		{"one byte too long", handover.KindConn, handover.MaxPayload + 1, true},
		{"4 GiB", handover.KindTaken, 1<<32 - 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b [handover.HeaderLen]byte
			b[0] = tt.kind
			binary.BigEndian.PutUint32(b[5:], tt.size)
			_, _, size, err := handover.ParseHeader(b)
			if err == nil || size != 0 || errors.Is(err, handover.ErrTooLong) != tt.long {
				t.Errorf("ParseHeader = %d bytes, %v, want an error, too long %v", size, err, tt.long)
			}
		})
	}
}

func TestConnPayloadRoundTrip(t *testing.T) {
	for _, key := range []string{"", "web", strings.Repeat("g", 255)} {
		for _, size := range []int{0, 1, 1 << 10, handover.MaxState} {
			state := bytes.Repeat([]byte("s"), size)
			payload, err := handover.ConnPayload(key, state)
			if err != nil || len(payload) > handover.MaxPayload {
				t.Fatalf("ConnPayload(%.10q, %d bytes) = %d bytes, %v, want at most %d", key, size, len(payload), err, handover.MaxPayload)
			}
			gotKey, got, err := handover.ParseConn(payload)
			if err != nil || gotKey != key || !bytes.Equal(got, state) {
				t.Errorf("ParseConn = %.10q, %d bytes, %v, want %.10q, %d bytes", gotKey, len(got), err, key, size)
			}
			if size == 0 && got != nil {
				t.Errorf("an empty state came as %v, want nil", got)
			}
		}
	}
}

func TestConnPayloadTooLong(t *testing.T) {
	if _, err := handover.ConnPayload(strings.Repeat("g", 256), nil); !errors.Is(err, handover.ErrTooLong) {
		t.Errorf("key of 256 bytes: %v, want that it is too long", err)
	}
	if _, err := handover.ConnPayload("web", make([]byte, handover.MaxState+1)); !errors.Is(err, handover.ErrTooLong) {
		t.Errorf("state of a byte too many: %v, want that it is too long", err)
	}
}

func TestParseConnErrors(t *testing.T) {
	for _, payload := range []string{"", "\x01", "\x04web", "\xff"} {
		if key, state, err := handover.ParseConn([]byte(payload)); err == nil {
			t.Errorf("ParseConn(%q) = %q, %q, want an error", payload, key, state)
		}
	}
}

func FuzzConnPayload(f *testing.F) {
	for _, seed := range []string{"", "\x00", "\x03web", "\x03webstate", "\xffweb"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		key, state, err := handover.ParseConn(payload)
		if err != nil {
			return
		}
		again, err := handover.ConnPayload(key, state)
		if err != nil && len(state) <= handover.MaxState {
			t.Fatalf("ConnPayload(%q, %d bytes) = %v, and it was parsed", key, len(state), err)
		}
		if err == nil && !bytes.Equal(again, payload) {
			t.Errorf("%q came back as %q", payload, again)
		}
	})
}

// FuzzHeader reads what comes first of a frame: its size is bounded before anything is allocated for it.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{handover.KindConn, 0, 0, 0, 1, 255, 255, 255, 255})
	for kind := range byte(7) {
		f.Add(handover.AppendFrame(nil, kind, 1, []byte("payload")))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) < handover.HeaderLen {
			return
		}
		kind, seq, size, err := handover.ParseHeader([handover.HeaderLen]byte(sent))
		if err != nil {
			return
		}
		if size < 0 || size > handover.MaxPayload {
			t.Fatalf("a payload of %d bytes would be read, want at most %d", size, handover.MaxPayload)
		}
		rest := sent[handover.HeaderLen:]
		if again := handover.AppendFrame(nil, kind, seq, rest); len(rest) == size && !bytes.Equal(again, sent) {
			t.Errorf("%q becomes %q", sent, again)
		}
	})
}
