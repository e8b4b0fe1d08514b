package h2move

import (
	"slices"

	"golang.org/x/net/http2"
)

// maxHeld is how much a Gate holds, in bytes. It is less than a state may be long in all.
const maxHeld = 3 << 18

// Gate holds back what a client says on streams that it begins, until Open. What it says of others, and of the connection, goes
// on, so that these streams can end. It is for one goroutine at a time.
type Gate struct {
	last  uint32 // the highest stream that is not held back
	sieve Sieve
	held  []byte
	block bool // the CONTINUATION that come belong to a header block that is held
	full  bool
}

// NewGate returns a Gate for what comes after that which in has followed.
func NewGate(in *In) *Gate { return &Gate{last: in.last} }

// Push appends to out what of b the server may have now, and returns it. in has followed all that it has already.
func (g *Gate) Push(in *In, b, out []byte) []byte {
	if g.sieve.isBetween() && len(g.held) == 0 {
		n := in.rest(b, g)
		out = append(out, b[:n]...)
		b = b[n:]
	}
	out = g.sieve.Push(b, out, g.takes, func(frame []byte) bool {
		g.held = append(g.held, frame...)
		return false
	})
	g.full = g.full || len(g.held)+len(g.sieve.begun) > maxHeld
	return out
}

// Part implements Watcher.
func (g *Gate) Part(*Header, []byte) {}

// Frame implements Watcher: the end of a frame that was begun before.
func (g *Gate) Frame(h *Header, _ []byte) {
	if h.Type() == http2.FrameHeaders {
		g.last = max(g.last, h.Stream())
	}
}

// takes reports whether a frame is held back.
func (g *Gate) takes(h *Header) bool {
	if g.full {
		return true
	}
	isNew := h.Stream() > g.last
	switch h.Type() {
	case http2.FrameHeaders:
		// Trailers of an open stream must not overtake another header block: both change the client's table.
		g.full = !isNew && len(g.held) > 0
		g.block = isNew || g.full
		return g.block
	case http2.FrameContinuation:
		return g.block
	}
	return isNew
}

// IsFull reports whether the Gate lets nothing pass any more: it has enough, or something has come that must not overtake. Then
// the open streams may wait for it.
func (g *Gate) IsFull() bool { return g.full }

// Held returns what is held back, in the order in which it came.
func (g *Gate) Held() []byte { return append(slices.Clip(g.held), g.sieve.begun...) }
