package h2move

import (
	"bytes"
	"crypto/rand"

	"golang.org/x/net/http2"
)

// newPing returns the payload of a PING that no client can know.
func newPing() (data [8]byte) {
	_, _ = rand.Read(data[:]) // never fails
	return data
}

// Barrier is a PING that a server gets from us. When its answer comes, so have the answers to all that the server had got before.
// The zero value is one that has not been asked for. It is not safe for concurrent use.
type Barrier struct {
	ping  [8]byte
	asked bool // and the answer has not come
	sieve Sieve
}

// Ask returns the frame for the server. It must be between two frames of the client's, and the last answer have come.
func (b *Barrier) Ask() []byte {
	b.ping, b.asked = newPing(), true
	var buf bytes.Buffer
	_ = http2.NewFramer(&buf, nil).WritePing(false, b.ping)
	return buf.Bytes()
}

// IsAsked reports whether an answer is to come.
func (b *Barrier) IsAsked() bool { return b.asked }

// Push takes the answer out of what the server says. out has followed what has been written of it so far.
func (b *Barrier) Push(out *Out, p []byte) (rest []byte, answered bool) {
	if b.sieve.isBetween() {
		n := out.rest(p, nil)
		rest = append(rest, p[:n]...)
		p = p[n:]
	}
	rest = b.sieve.Push(p, rest, b.takes, func(frame []byte) bool {
		isOurs := string(frame[HeaderLen:]) == string(b.ping[:])
		if isOurs {
			b.asked, answered = false, true
		}
		return !isOurs
	})
	return rest, answered
}

func (b *Barrier) takes(h *Header) bool {
	return b.asked && h.Type() == http2.FramePing && h.Has(http2.FlagPingAck) && h.Len() == len(b.ping)
}

// IsBetween reports whether Push has nothing in hand.
func (b *Barrier) IsBetween() bool { return b.sieve.isBetween() }
