package tlswatch

import (
	"encoding/binary"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// flow follows the records of one direction.
type flow struct {
	half      *tlsrec.Half // of the handshake, and of the data once that is complete; nil before the ServerHello
	last      []byte       // the present record as far as it has come, or the last one; empty if that is not kept
	have      int32        // bytes of the present record, 0 between two
	header    [tlsrec.HeaderLen]byte
	keep      bool // the present record goes into last
	handshake bool // half is of the handshake
	proved    bool // the last record has opened as the one before half.Seq, and a message ends where it ends
	clean     bool // so had the one before the present one, which may be a KeyUpdate
}

// smallest is the length, after the header, of a record that is a KeyUpdate: 5 bytes, the type and the tag. One with padding, or
// in pieces, is not recognized; the proof fails then.
const smallest = 5 + 1 + 16

// bulk is the length of a record that is full of data.
const bulk = 16384 + 1 + 16

// follow goes over what was read or written.
func (s *session) follow(f *flow, p []byte) {
	for len(p) > 0 && s.why == "" {
		p = p[s.take(f, p):]
		if f.have >= tlsrec.HeaderLen && f.missing() == 0 {
			f.have = 0
			s.record(f)
		}
	}
}

// take takes bytes of the present record, up to the end of its header or of itself, and returns how many.
func (s *session) take(f *flow, p []byte) int {
	if f.have < tlsrec.HeaderLen {
		n := copy(f.header[f.have:], p)
		f.have += int32(n)
		if f.have == tlsrec.HeaderLen {
			s.begin(f)
		}
		return n
	}
	n := min(len(p), f.missing())
	if f.keep {
		f.last = append(f.last, p[:n]...)
	}
	f.have += int32(n)
	return n
}

// length is that of the present record after its header, which is there.
func (f *flow) length() int { return int(binary.BigEndian.Uint16(f.header[3:])) }

// missing is how many bytes of the present record are to come.
func (f *flow) missing() int { return tlsrec.HeaderLen + f.length() - int(f.have) }

// begin is called when the header is there. A change_cipher_spec leaves what is known of the record before it: it has no number.
func (s *session) begin(f *flow) {
	f.keep = false
	if f.header[0] == tlsrec.TypeChangeCipherSpec {
		return
	}
	s.touched = true
	if f.half != nil && !f.handshake && f.length() == smallest {
		f.clean = s.prove(f) == nil
	}
	f.proved = false
	f.last = f.last[:0]
	switch {
	case f.half == nil: // the ServerHello is among these
		f.keep = f == &s.out
	case f.handshake || f.length() < bulk || draining.Load():
		f.keep = true
	}
	if f.keep {
		f.last = append(f.last, f.header[:]...)
	}
}

// record is called at the end of each record.
func (s *session) record(f *flow) {
	switch {
	case f.length() > tlsrec.MaxCiphertext:
		s.lose(tlsrec.Lost) // crypto/tls refuses it
	case f.header[0] == tlsrec.TypeChangeCipherSpec:
	case f.half == nil && f == &s.out:
		s.beforeKeys(f.last)
	case f.half == nil:
	case f.header[0] != tlsrec.TypeApplicationData:
		s.lose(tlsrec.Lost)
	case f.handshake:
		s.handshakeRecord(f)
	default:
		s.dataRecord(f)
	}
}

// handshakeRecord opens a record under the handshake's secret. After Finished the next secret counts from 0.
func (s *session) handshakeRecord(f *flow) {
	kind, content, err := f.half.OpenAt(nil, f.half.Seq, f.last)
	if err != nil {
		s.lose(tlsrec.Lost)
		return
	}
	f.half.Seq++
	if tlsrec.EndsHandshake(kind, content) {
		f.proved = true
		f.last = f.last[:0]
		s.useDataKeys(f)
	}
}

// dataRecord counts a record, and finds the KeyUpdates. These are not told by the KeyLogWriter (conn.go:1334 of Go 1.26). What looks like one
// may be the rest of another message, whose begin was in the record before: then the keys are wrong, and there is no proof until data opens.
func (s *session) dataRecord(f *flow) {
	if f.length() != smallest {
		f.half.Seq++
		return
	}
	kind, content, err := f.half.OpenAt(nil, f.half.Seq, f.last)
	if err != nil {
		s.lose(tlsrec.Lost)
		return
	}
	f.half.Seq++
	switch {
	case tlsrec.IsKeyUpdate(kind, content):
		f.half.Update()
		f.proved = f.clean
		f.last = f.last[:0]
	case kind == tlsrec.TypeApplicationData:
		f.proved = true
	}
}

// prove returns nil if the last record is the one before half.Seq, and nothing of a message can be left of it in tls.Conn.
func (s *session) prove(f *flow) error {
	switch {
	case s.why != "":
		return s.why
	case f.proved:
		return nil
	case len(f.last) == 0 || f.half.Seq == 0:
		return tlsrec.NoProof
	}
	kind, _, err := f.half.OpenAt(nil, f.half.Seq-1, f.last)
	switch {
	case err != nil:
		s.lose(tlsrec.Lost)
		return tlsrec.Lost
	case kind == tlsrec.TypeAlert:
		return tlsrec.Closed
	case kind == tlsrec.TypeHandshake && f == &s.out: // a ticket: crypto/tls writes whole messages
	case kind != tlsrec.TypeApplicationData: // a KeyUpdate that was not recognized, or a part of one
		return tlsrec.NoProof
	}
	f.proved = true
	return nil
}

// forget clears the secrets and gives back the memory.
func (f *flow) forget() {
	f.half.Clear()
	f.half, f.last = nil, nil
}
