package h2move

// Sieve takes whole frames out of a stream. The zero value is between two frames.
type Sieve struct {
	begun  []byte // an incomplete header, or what is there of a frame that is taken
	left   int    // bytes of the payload still to come
	taking bool
}

// Push appends to out what of b goes on, and returns it. take is asked for each frame whether it is taken. whole is given those that are, and
// reports whether such a frame goes on after all; it must not keep it.
func (s *Sieve) Push(b, out []byte, take func(h *Header) bool, whole func(frame []byte) bool) []byte {
	for len(b) > 0 {
		var n int
		switch {
		case s.left > 0 && !s.taking:
			n = min(s.left, len(b))
			out = append(out, b[:n]...)
			s.left -= n
		case s.left > 0:
			n = min(s.left, len(b))
			s.begun = append(s.begun, b[:n]...)
			s.left -= n
		default:
			n = min(HeaderLen-len(s.begun), len(b))
			s.begun = append(s.begun, b[:n]...)
			if len(s.begun) == HeaderLen {
				out = s.begin(out, take)
			}
		}
		b = b[n:]
		if s.taking && s.left == 0 {
			out = s.end(out, whole)
		}
	}
	return out
}

// begin decides about a frame whose header is there.
func (s *Sieve) begin(out []byte, take func(h *Header) bool) []byte {
	h := Header(s.begun)
	s.left, s.taking = h.Len(), take(&h)
	if !s.taking {
		out = append(out, s.begun...)
		s.begun = s.begun[:0]
	}
	return out
}

// end gives a frame away that is taken.
func (s *Sieve) end(out []byte, whole func(frame []byte) bool) []byte {
	if whole(s.begun) {
		out = append(out, s.begun...)
	}
	s.begun, s.taking = s.begun[:0], false
	return out
}

// isBetween reports whether the sieve has nothing in hand.
func (s *Sieve) isBetween() bool { return len(s.begun) == 0 && s.left == 0 }
