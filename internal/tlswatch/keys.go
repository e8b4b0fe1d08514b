package tlswatch

import (
	"bytes"
	"encoding/hex"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// keys are the secrets of a handshake, in the order of labels, until the halves have them.
type keys struct {
	suite   uint16 // of the ServerHello; 0 before
	secrets [4][]byte
}

// labels are those of NSS's key log (crypto/tls, common.go:1583), each direction's beside the other one's.
var labels = [...]string{
	"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0",
	"SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0",
}

// ofIn and ofOut are where a direction's secrets begin: the handshake's, and after it the data's.
const (
	ofIn  = 0
	ofOut = 2
)

// learn takes a line of the key log. crypto/tls holds a lock of the whole process meanwhile.
func (k *keys) learn(line []byte) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return
	}
	for i, label := range labels {
		if string(fields[0]) != label {
			continue
		}
		secret := make([]byte, hex.DecodedLen(len(fields[2])))
		if _, err := hex.Decode(secret, fields[2]); err == nil {
			clear(k.secrets[i])
			k.secrets[i] = secret
		}
	}
}

// half makes the half of a secret, which it clears. It is nil if the secret is not known, or is none of the suite's.
func (k *keys) half(i int) *tlsrec.Half {
	if k == nil {
		return nil
	}
	h, err := tlsrec.NewHalf(k.suite, k.secrets[i])
	clear(k.secrets[i])
	k.secrets[i] = nil
	if err != nil {
		return nil
	}
	return h
}

func (k *keys) clear() {
	if k == nil {
		return
	}
	for i, secret := range k.secrets {
		clear(secret)
		k.secrets[i] = nil
	}
}

// beforeKeys is called with each record that the server sends in the clear, and with those of TLS 1.2. After the ServerHello the
// records of both directions are under the handshake's secrets.
func (s *session) beforeKeys(record []byte) {
	suite, ok := serverHello(record)
	if !ok || s.keys == nil {
		return
	}
	s.keys.suite = suite
	if s.keys.secrets[ofOut] == nil { // a HelloRetryRequest, or TLS 1.2
		return
	}
	s.in.half, s.in.handshake = s.keys.half(ofIn), true
	s.out.half, s.out.handshake = s.keys.half(ofOut), true
	if s.in.half == nil || s.out.half == nil {
		s.lose(tlsrec.Lost)
	}
}

// useDataKeys goes on to the secret of the data in one direction.
func (s *session) useDataKeys(f *flow) {
	from := ofIn
	if f == &s.out {
		from = ofOut
	}
	f.half.Clear()
	f.half, f.handshake = s.keys.half(from+1), false
	if f.half == nil {
		s.lose(tlsrec.Lost)
		return
	}
	if !s.in.handshake && !s.out.handshake {
		s.complete = true
		s.keys.clear()
		s.keys = nil
	}
}

// serverHello returns the cipher suite that a record's ServerHello has chosen (RFC 8446, 4.1.3), or not ok. The record is crypto/tls's
// own, and one of TLS 1.2 may be anything.
func serverHello(record []byte) (suite uint16, ok bool) {
	const sessionID = tlsrec.HeaderLen + 4 + 2 + 32
	if len(record) <= sessionID || record[0] != tlsrec.TypeHandshake || record[tlsrec.HeaderLen] != 2 {
		return 0, false
	}
	at := sessionID + 1 + int(record[sessionID])
	if len(record) < at+2 {
		return 0, false
	}
	return uint16(record[at])<<8 | uint16(record[at+1]), true
}
