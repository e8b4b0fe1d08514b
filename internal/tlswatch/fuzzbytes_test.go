package tlswatch_test

import (
	"crypto/tls"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// stream makes the bytes of one direction.
type stream struct {
	half  *tlsrec.Half
	bytes []byte
	sound bool // nothing but whole records of data, and key updates
	last  byte // the type of the last record
}

func (s *stream) seal(t *testing.T, kind byte, content []byte) {
	t.Helper()
	var err error
	if s.bytes, err = s.half.Seal(s.bytes, kind, content); err != nil {
		t.Fatal(err)
	}
	s.last = kind
}

// take adds what the head of script says, and returns the rest.
func (s *stream) take(t *testing.T, script []byte) []byte {
	t.Helper()
	op, n := script[0], min(int(script[1]), len(script)-2)
	content, rest := script[2:2+n], script[2+n:]
	switch op >> 1 & 3 {
	case 0:
		if n == 0 {
			return rest
		}
		s.seal(t, data, content)
	case 1:
		s.seal(t, handshake, []byte(tlspeer.KeyUpdate(n&1 != 0)))
		s.half.Update()
	case 2:
		s.seal(t, op>>3, content)
		s.sound = s.sound && op>>3 == data && n > 0
	case 3:
		s.bytes = append(s.bytes, content...)
		s.sound = s.sound && n == 0
	}
	return rest
}

// FuzzBytes has a client and a server send records of any type, and any bytes between them, to the tracker alone. What it knows
// does not depend on the pieces in which they come. Where all is sound it has counted the records, and proves the keys when the last has data.
func FuzzBytes(f *testing.F) {
	f.Add([]byte("\x00\x05hello\x02\x00\x01\x02ab"), byte(3))
	f.Add([]byte("\x02\x01\x00\x05hello\x03\x00\x02\x01"), byte(0x81))
	f.Add([]byte("\xb4\x02\x18\x00\xb4\x03\x00\x01\x00\x01\x01a"), byte(40))
	f.Add([]byte("\x06\x06\x14\x03\x03\x00\x01\x01\x00\x01a"), byte(1))
	f.Fuzz(func(t *testing.T, script []byte, pieces byte) {
		suite, secret := tls.TLS_AES_128_GCM_SHA256, make([]byte, 32)
		var streams [2]stream
		for i := range streams {
			half, err := tlsrec.NewHalf(suite, secret)
			if err != nil {
				t.Fatal(err)
			}
			streams[i] = stream{half: half, sound: true, last: data}
		}
		for len(script) >= 2 {
			script = streams[script[0]&1].take(t, script)
		}
		var whole, cut *tlswatch.Followed
		for _, f := range []**tlswatch.Followed{&whole, &cut} {
			var err error
			if *f, err = tlswatch.Follow(suite, secret); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range streams {
			whole.Push(i == 1, s.bytes)
			for b := s.bytes; len(b) > 0; {
				n := min(len(b), 1+int(pieces))
				cut.Push(i == 1, b[:n])
				b = b[n:]
			}
		}
		if whole.Known() != cut.Known() {
			t.Errorf("it knows %s, and in pieces of %d bytes %s", whole.Known(), 1+int(pieces), cut.Known())
		}
		if !streams[0].sound || !streams[1].sound {
			return
		}
		for i, s := range streams {
			seq, known := whole.Seq(i == 1)
			if !known || seq != s.half.Seq {
				t.Errorf("direction %d: it has counted %d (%v), want %d under the last key", i, seq, known, s.half.Seq)
			}
			if err := whole.Proves(i == 1); err != nil && len(s.bytes) > 0 && s.last == data {
				t.Errorf("direction %d: no proof: %v", i, err)
			}
		}
	})
}
