package tlsrec

import (
	"io"
	"sync"
)

// smallBuffer is what a connection keeps: enough for the most requests, which come in one piece, header and all.
const smallBuffer = 1024

// pool has buffers for a record of any size.
var pool = sync.Pool{New: func() any { return new([MaxRecord + smallBuffer]byte) }}

// buffer has what came from the connection below and is not used up. Its zero value is ready.
type buffer struct {
	small []byte
	large *[MaxRecord + smallBuffer]byte // in use instead, if not nil
	r, w  int
}

func (b *buffer) bytes() []byte {
	if b.large != nil {
		return b.large[:]
	}
	return b.small
}

// len is how much there is.
func (b *buffer) len() int { return b.w - b.r }

// peek returns the next n bytes, which must be there.
func (b *buffer) peek(n int) []byte { return b.bytes()[b.r : b.r+n] }

// next takes them. They are good until the next call of fill or rest.
func (b *buffer) next(n int) []byte {
	p := b.peek(n)
	b.r += n
	return p
}

// fill reads until there are n bytes, at most MaxRecord, and as many more as come with them. What has come before an
// error stays. The end of r in the middle is [io.ErrUnexpectedEOF].
func (b *buffer) fill(r io.Reader, n int) error {
	b.makeRoom(n)
	for b.len() < n {
		m, err := r.Read(b.bytes()[b.w:])
		b.w += m
		if b.len() >= n {
			return nil // an error comes again
		}
		if err == io.EOF && b.len() > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeRoom has n bytes fit behind r.
func (b *buffer) makeRoom(n int) {
	if b.small == nil {
		b.small = make([]byte, smallBuffer)
	}
	from := b.bytes()
	if b.r+n <= len(from) {
		return
	}
	to := from
	if n > len(from) {
		b.large = pool.Get().(*[MaxRecord + smallBuffer]byte)
		to = b.large[:]
	}
	b.w = copy(to, from[b.r:b.w])
	b.r = 0
}

// rest is called when nothing that was taken is needed any more.
func (b *buffer) rest() {
	if b.len() > 0 {
		return
	}
	b.r, b.w = 0, 0
	b.free()
}

// free gives the large buffer back; what is in it is lost.
func (b *buffer) free() {
	if b.large != nil {
		pool.Put(b.large)
		b.large = nil
		b.r, b.w = 0, 0
	}
}
