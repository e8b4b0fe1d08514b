package tlsrec

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
)

var errKnown = errors.New("tlsrec: a cipher suite does not do what it should")

// answers are records that a known secret makes of known content, before and after a KeyUpdate. This package has made them, and its
// tests compare it with crypto/tls.
var answers = []struct {
	suite         uint16
	first, second string
}{
	{tls.TLS_AES_128_GCM_SHA256, "17030300163e935168c375f3693a39b85bfb510b48c08e14012d2f", "1703030016046e0ab77514e3caa98273cc13f04f179bdbbca667b6"},
	{tls.TLS_AES_256_GCM_SHA384, "1703030016f67f1687aa59e6451d46b1274225cd5c09ce5e988d3b", "1703030016a5e67939c3171f8875348d0e7d2a16df1158c4a9a2bc"},
	{tls.TLS_CHACHA20_POLY1305_SHA256, "170303001660db5aade93b0a9cf7b897163e19c4058a7dfe04d38d", "170303001603d42e33bae380c9e786ffdf2aa99924955758815d23"},
}

// KnownAnswers compares what each suite seals, and opens, with known answers.
func KnownAnswers() error {
	for _, known := range answers {
		of := suiteByID(known.suite)
		secret := make([]byte, of.hashLen)
		for i := range secret {
			secret[i] = byte(i)
		}
		h, err := NewHalf(known.suite, secret)
		if err != nil {
			return err
		}
		for _, want := range []string{known.first, known.second} {
			h.Seq = 1
			got, err := h.Seal(nil, TypeApplicationData, []byte("known"))
			if err != nil || hex.EncodeToString(got) != want {
				return errKnown
			}
			_, content, err := h.OpenAt(nil, 1, got)
			if err != nil || !bytes.Equal(content, []byte("known")) {
				return errKnown
			}
			h.Update()
		}
	}
	return nil
}
