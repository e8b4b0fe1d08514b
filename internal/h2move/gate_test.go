package h2move_test

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
)

// gated gives b to a new Gate in pieces, behind what in has followed, and has in follow what passes.
func gated(in *h2move.In, b, sizes []byte) (passed []byte, g *h2move.Gate) {
	g = h2move.NewGate(in)
	pieces(b, sizes, func(b []byte) {
		p := g.Push(in, b, nil)
		in.Follow(p)
		passed = append(passed, p...)
	})
	return passed, g
}

func TestGate(t *testing.T) {
	data := func(w *wire, stream uint32) error { return w.WriteData(stream, false, []byte("data")) }
	head := func(w *wire, stream uint32) error {
		return w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.fields(), EndHeaders: true})
	}
	half := func(w *wire, stream uint32) error {
		return w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.fields()})
	}
	rest := func(w *wire, stream uint32) error { return w.WriteContinuation(stream, true, []byte{0x82}) }
	ping := func(w *wire, _ uint32) error { return w.WritePing(false, [8]byte{}) }
	window := func(w *wire, stream uint32) error { return w.WriteWindowUpdate(stream, 9) }
	reset := func(w *wire, stream uint32) error { return w.WriteRSTStream(stream, http2.ErrCodeCancel) }
	set := func(w *wire, _ uint32) error { return w.WriteSettings() }
	type frame struct {
		write  func(*wire, uint32) error
		stream uint32
		held   bool
	}
	tests := []struct {
		name   string
		begun  int // bytes of the first frame that the server has already
		frames []frame
		full   bool
	}{
		{"open streams go on", 0, []frame{{data, 3, false}, {window, 1, false}, {reset, 3, false}, {ping, 0, false}, {window, 0, false}, {set, 0, false}}, false},
		{"trailers, too", 0, []frame{{half, 3, false}, {rest, 3, false}, {data, 1, false}, {head, 1, false}}, false},
		{"a new stream is held", 0, []frame{{head, 5, true}, {data, 5, true}, {data, 3, false}, {reset, 5, true}, {ping, 0, false}, {head, 7, true}, {window, 7, true}}, false},
		{"in several frames", 0, []frame{{half, 5, true}, {rest, 5, true}, {data, 3, false}}, false},
		{"trailers do not overtake", 0, []frame{{head, 5, true}, {data, 3, false}, {head, 3, true}, {data, 3, true}, {ping, 0, true}}, true},
		{"a begun header", 5, []frame{{head, 5, false}, {data, 5, false}, {head, 7, true}}, false},
		{"a begun frame", 12, []frame{{head, 5, false}, {data, 5, false}, {head, 7, true}, {data, 5, false}}, false},
		{"a begun block", 12, []frame{{half, 5, false}, {rest, 5, false}, {data, 5, false}, {half, 7, true}, {rest, 7, true}}, false},
	}
	for _, tt := range tests {
		for _, sizes := range [][]byte{nil, {0}, {8, 0}, {3, 40, 1}} {
			in, _, w, _ := settled(t, nil)
			w.get(t, 1)
			must(t, head(w, 3))
			in.Follow(w.take())
			var passes, held, all []byte
			for _, f := range tt.frames {
				must(t, f.write(w, f.stream))
				b := w.take()
				all = append(all, b...)
				if f.held {
					held = append(held, b...)
				} else {
					passes = append(passes, b...)
				}
			}
			in.Follow(all[:tt.begun])
			got, g := gated(in, all[tt.begun:], sizes)
			if !bytes.Equal(got, passes[tt.begun:]) || !bytes.Equal(g.Held(), held) || g.IsFull() != tt.full {
				t.Errorf("%s in pieces of %v+1: passed %q, held %q, full %v, want %q, %q, %v", tt.name, sizes, got, g.Held(), g.IsFull(), passes[tt.begun:], held, tt.full)
			}
		}
	}
}

func TestGateHoldsHalfAFrame(t *testing.T) {
	in, _, w, _ := settled(t, nil)
	must(t, w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.fields(), EndHeaders: true}))
	all := w.take()
	for n := range all {
		if passed, g := gated(in, all[:n], nil); len(passed) > 0 || !bytes.Equal(g.Held(), all[:n]) {
			t.Errorf("of %q passes %q, is held %q", all[:n], passed, g.Held())
		}
	}
}

func TestGateIsFull(t *testing.T) {
	in, _, w, _ := settled(t, nil)
	w.get(t, 1)
	for range 50 {
		must(t, w.WriteData(1, false, make([]byte, 16384)))
	}
	if _, g := gated(in, w.take(), nil); !g.IsFull() {
		t.Error("it holds 50 large frames")
	}
}

// Whatever a client says, nothing of it is lost or comes twice, and the pieces make no difference.
func FuzzGate(f *testing.F) {
	w := newWire()
	w.get(f, 1)
	must(f, w.WriteData(3, false, []byte("data")))
	w.get(f, 7)
	must(f, w.WriteData(7, false, []byte("data")))
	must(f, w.WritePing(true, [8]byte{}))
	f.Add(w.take(), []byte{0}, uint8(0))
	f.Add([]byte{0, 0, 1, 1, 0, 0, 0, 0, 9, 1, 0, 0, 0, 9, 0, 0, 0, 0, 9}, []byte{4}, uint8(7))
	// A header block without its end, and a part of a header behind it.
	f.Add([]byte("\x00\x00\x06\x0170000000000\x00\x00\x040000000000\x00\x00\x04\x0100\x05\xff\xff\x05000\x00\x00\x040000"), []byte{0}, uint8(7))
	f.Fuzz(func(t *testing.T, b, sizes []byte, begun uint8) {
		run := func(sizes []byte) (passed, held []byte) {
			in, _, _, _ := settled(t, nil)
			n := min(int(begun), len(b))
			in.Follow(b[:n])
			passed, g := gated(in, b[n:], sizes)
			if len(passed)+len(g.Held()) != len(b)-n {
				t.Errorf("of %d bytes %d pass and %d are held", len(b)-n, len(passed), len(g.Held()))
			}
			return passed, g.Held()
		}
		passed, held := run(nil)
		if gotPassed, gotHeld := run(sizes); !bytes.Equal(gotPassed, passed) || !bytes.Equal(gotHeld, held) {
			t.Errorf("in pieces %q and %q, at once %q and %q", gotPassed, gotHeld, passed, held)
		}
	})
}

func TestBarrier(t *testing.T) {
	for _, sizes := range [][]byte{nil, {0}, {8, 3}} {
		_, out, _, server := settled(t, nil)
		var b h2move.Barrier
		ask := b.Ask()
		if !b.IsAsked() || !b.IsBetween() || len(ask) != 17 {
			t.Fatalf("asked %v, between %v, by %q", b.IsAsked(), b.IsBetween(), ask)
		}
		must(t, server.WriteData(1, true, []byte("answer")))
		begun := server.take()
		out.Follow(begun[:10])
		must(t, server.WritePing(true, [8]byte{1})) // the client's
		must(t, server.WritePing(false, [8]byte(ask[9:])))
		before := append(begun[10:], server.take()...)
		must(t, server.WritePing(true, [8]byte(ask[9:])))
		answer := server.take()
		must(t, server.WritePing(true, [8]byte(ask[9:])))
		after := server.take()
		var got []byte
		answers := 0
		pieces(append(append(bytes.Clone(before), answer...), after...), sizes, func(p []byte) {
			rest, answered := b.Push(out, p)
			out.Follow(rest)
			got = append(got, rest...)
			if answered {
				answers++
			}
		})
		if want := append(bytes.Clone(before), after...); !bytes.Equal(got, want) || answers != 1 || b.IsAsked() || !b.IsBetween() {
			t.Errorf("in pieces of %v+1: %q, answered %d times, want %q, once", sizes, got, answers, want)
		}
	}
}
