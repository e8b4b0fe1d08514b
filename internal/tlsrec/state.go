package tlsrec

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// State is all that a process needs to go on with a connection: the keys of both directions, and what is told of the
// connection by [Conn.ConnectionState]. Printed or logged, it says nothing. It is not safe for concurrent use.
type State struct {
	Suite              uint16 // of TLS 1.3
	ServerName         string // the client's words, at most 255 bytes
	NegotiatedProtocol string // at most 255 bytes
	DidResume          bool
	ECHAccepted        bool
	CurveID            tls.CurveID
	HandshakeAt        time.Time // when the handshake was complete, by the wall clock, to the second; it goes on from move to move
	Leaf               [32]byte  // SHA-256 of the leaf certificate that was served; zero if none was, as in a resumed session

	in, out *Half
}

// NewState returns the state whose halves are copies of in, what the client sends, and out.
func NewState(s State, in, out *Half) (*State, error) {
	s.in, s.out = in.Clone(), out.Clone()
	if err := s.check(); err != nil {
		s.Clear()
		return nil, err
	}
	return &s, nil
}

// stateVersion is the first byte of the binary form. A form that is not understood is refused.
const stateVersion = 1

// Lengths of the binary form, in bytes: version, flags, suite, curve, time and leaf; then each half's number and secret,
// and each string after its length.
const (
	stateFixed  = 1 + 1 + 2 + 2 + 8 + 32
	MaxStateLen = stateFixed + 2*(8+maxSecret) + 2*(1+maxName)
	maxName     = 255
)

// The flags of the binary form.
const (
	flagResumed = 1 << iota
	flagECH
	flagsKnown = flagResumed | flagECH
)

var (
	errState = errors.New("tlsrec: this is no state of a connection")
	errUsed  = errors.New("tlsrec: the state of a connection has been used before")
)

// check says whether s can be gone on with. It believes nobody: s may be another process's.
func (s *State) check() error {
	switch {
	case s == nil || s.in == nil || s.out == nil || s.in.suite == nil || s.out.suite == nil:
		return errUsed
	case s.in.suite.id != s.Suite || s.out.suite.id != s.Suite:
		return errState
	case s.in.key.secret == s.out.key.secret: // one key and number for two records
		return errState
	case s.in.key.secret == [maxSecret]byte{} || s.out.key.secret == [maxSecret]byte{}:
		return errState
	case s.in.Seq >= MaxRecords || s.out.Seq >= MaxRecords:
		return KeyLimit
	case len(s.ServerName) > maxName || len(s.NegotiatedProtocol) > maxName:
		return TooLong
	case s.HandshakeAt.Unix() <= 0:
		return errState
	}
	return nil
}

// Append appends the binary form to b. It holds the secrets: whoever calls this gives b the capacity [MaxStateLen], so that
// no copy is left elsewhere, and clears it after use.
func (s *State) Append(b []byte) ([]byte, error) {
	if err := s.check(); err != nil {
		return b, err
	}
	var flags byte
	if s.DidResume {
		flags |= flagResumed
	}
	if s.ECHAccepted {
		flags |= flagECH
	}
	b = append(b, stateVersion, flags)
	b = binary.BigEndian.AppendUint16(b, s.Suite)
	b = binary.BigEndian.AppendUint16(b, uint16(s.CurveID))
	b = binary.BigEndian.AppendUint64(b, uint64(s.HandshakeAt.Unix()))
	b = append(b, s.Leaf[:]...)
	for _, h := range []*Half{s.in, s.out} {
		b = binary.BigEndian.AppendUint64(b, h.Seq)
		b = append(b, h.key.secret[:h.suite.hashLen]...)
	}
	for _, name := range []string{s.ServerName, s.NegotiatedProtocol} {
		b = append(append(b, byte(len(name))), name...)
	}
	return b, nil
}

// ParseState reads what Append has written, and nothing else: it takes one form of each state, and no byte too many. It
// keeps nothing of b, which is the caller's to clear. The bytes come from another process, which may be of another
// version, or taken over: whoever could write them has the connection anyway, and must get no more than that.
func ParseState(b []byte) (*State, error) {
	if len(b) < stateFixed || len(b) > MaxStateLen || b[0] != stateVersion || b[1]&^flagsKnown != 0 {
		return nil, errState
	}
	s := &State{
		DidResume:   b[1]&flagResumed != 0,
		ECHAccepted: b[1]&flagECH != 0,
		Suite:       binary.BigEndian.Uint16(b[2:]),
		CurveID:     tls.CurveID(binary.BigEndian.Uint16(b[4:])),
		Leaf:        [32]byte(b[14:]),
	}
	seconds := binary.BigEndian.Uint64(b[6:])
	if seconds >= 1<<40 { // some 34,000 years
		return nil, errState
	}
	s.HandshakeAt = time.Unix(int64(seconds), 0)
	b = b[stateFixed:]
	for _, h := range []**Half{&s.in, &s.out} {
		if b = parseHalf(h, s.Suite, b); b == nil {
			s.Clear()
			return nil, errState
		}
	}
	for _, name := range []*string{&s.ServerName, &s.NegotiatedProtocol} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			s.Clear()
			return nil, errState
		}
		end := 1 + int(b[0])
		*name, b = string(b[1:end]), b[end:]
	}
	if err := s.check(); err != nil || len(b) != 0 {
		s.Clear()
		return nil, errState
	}
	return s, nil
}

// parseHalf reads a half into h and returns what follows it, or nil if there is none.
func parseHalf(h **Half, suite uint16, b []byte) []byte {
	of := suiteByID(suite)
	if of == nil || len(b) < 8+of.hashLen {
		return nil
	}
	*h = &Half{Seq: binary.BigEndian.Uint64(b), suite: of, key: new(key)}
	copy((*h).key.secret[:], b[8:8+of.hashLen])
	return b[8+of.hashLen:]
}

// Clear zeroes the secrets; s is of no use afterwards. It may be called again, and of nil.
func (s *State) Clear() {
	if s == nil {
		return
	}
	s.in.Clear()
	s.out.Clear()
	s.in, s.out = nil, nil
}

// String says nothing.
func (State) String() string { return "tlsrec.State" }

// GoString says nothing.
func (State) GoString() string { return "tlsrec.State" }

// Format says nothing, whatever the verb.
func (State) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("tlsrec.State")) }

// LogValue says nothing.
func (State) LogValue() slog.Value { return slog.StringValue("tlsrec.State") }

// MarshalJSON refuses: a state goes nowhere as text.
func (State) MarshalJSON() ([]byte, error) {
	return nil, errors.New("tlsrec: a state is not for JSON")
}
