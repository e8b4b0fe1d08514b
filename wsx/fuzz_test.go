package wsx

import (
	"bytes"
	"testing"
)

// FuzzFrames follows the same bytes in pieces of two kinds: what is said of them must not depend on how they come, and no piece goes beyond a frame.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x05hello\x89\x00\x01\x83masked\x80\x00\x88\x02\x03\xe8"), uint8(1))
	f.Add([]byte("\x82\x7e\x00\x7e"+string(make([]byte, 126))+"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x01maskx"), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		var whole, pieces frames
		whole.all(b)
		for rest := b; len(rest) > 0; {
			piece := rest[:min(len(rest), int(size)+1)]
			n := pieces.next(piece)
			if n < 1 || n > len(piece) {
				t.Fatalf("%d of %d bytes", n, len(piece))
			}
			rest = rest[n:]
		}
		if whole != pieces {
			t.Fatalf("whole: %+v, in pieces: %+v", whole, pieces)
		}
	})
}

// FuzzState reads the state of another generation's WebSocket. What is taken says the same when it is passed on.
func FuzzState(f *testing.F) {
	f.Add(state{agreement: agreement{Protocol: "chat", Deflate: true}, Ahead: []byte{0x81}, Program: []byte("x")}.encode())
	f.Add([]byte(`{"v":1,"protocol":"a, b"}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(s.encode())
		if err != nil || again.agreement != s.agreement || !bytes.Equal(again.Ahead, s.Ahead) || !bytes.Equal(again.Program, s.Program) {
			t.Fatalf("%+v becomes %+v, %v", s, again, err)
		}
	})
}
