package load

import (
	"cmp"
	"fmt"
	"sync/atomic"
)

// defaultBodySize is sent by the kinds that post a body.
const defaultBodySize = 128

// NoBody is the BodySize of those that post without a byte.
const NoBody = -1

// users numbers the clients of this process, so that no two send the same.
var users atomic.Int64

// payload makes the bodies that a client posts and gets back. Each begins with
// the client's number and the exchange's, so an answer that belongs to another
// request is noticed.
type payload struct {
	user int64
	n    int
	buf  []byte
}

func newPayload(size int) (*payload, error) {
	if size < NoBody {
		return nil, fmt.Errorf("body size %d is negative", size)
	}
	p := &payload{user: users.Add(1)}
	if size == NoBody {
		return p, nil
	}
	p.buf = make([]byte, cmp.Or(size, defaultBodySize))
	for i := range p.buf {
		p.buf[i] = 'a' + byte(i*7%26)
	}
	return p, nil
}

// next returns the next body, which is valid until the next call.
func (p *payload) next() []byte {
	p.n++
	copy(p.buf, fmt.Sprintf("%d %d ", p.user, p.n))
	return p.buf
}

// same returns nil if got is what was sent, and otherwise says where they part.
func same(got, sent []byte) error {
	for i := range min(len(got), len(sent)) {
		if got[i] != sent[i] {
			return fmt.Errorf("body differs from what was sent at byte %d: %s, want %s", i, excerpt(got[i:]), excerpt(sent[i:]))
		}
	}
	if len(got) != len(sent) {
		return fmt.Errorf("body of %d bytes, want the %d that were sent", len(got), len(sent))
	}
	return nil
}

// excerpt quotes the beginning of p.
func excerpt(p []byte) string {
	const most = 20
	if len(p) > most {
		return fmt.Sprintf("%q...", p[:most])
	}
	return fmt.Sprintf("%q", p)
}
