package tlsrec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Lengths of RFC 8446, in bytes.
const (
	HeaderLen     = 5
	maxPlaintext  = 16384              // 5.1
	MaxCiphertext = maxPlaintext + 256 // 5.2, what follows the header
	MaxRecord     = HeaderLen + MaxCiphertext
	tagLen        = 16 // of all three suites
	overhead      = HeaderLen + 1 + tagLen
	nonceLen      = 12
	maxSecret     = sha512.Size384
)

// The types of records and messages of RFC 8446, 5.1 and 4.
const (
	TypeChangeCipherSpec = 20
	TypeAlert            = 21
	TypeHandshake        = 22
	TypeApplicationData  = 23

	messageFinished  = 20
	messageKeyUpdate = 24
)

// MaxRecords is how many records may be protected by one key: 2^24.5 for AES-GCM (RFC 8446, 5.5), and here for
// ChaCha20-Poly1305 as well, which would bear more.
const MaxRecords = 23_726_566

// updateAfter is when new keys are made, or asked for, so that nobody meets MaxRecords.
const updateAfter = 1 << 24

var (
	// errKeyLimit is of a connection that would need a new key and has got none.
	errKeyLimit = errors.New("tlsrec: too many records under one key")
	errSecret   = errors.New("tlsrec: this is no secret of a cipher suite of TLS 1.3")
)

// suite is a cipher suite of RFC 8446, B.4.
type suite struct {
	id      uint16
	keyLen  int
	hashLen int
	hash    func() hash.Hash
	aead    func(key []byte) (cipher.AEAD, error)
}

var suites = []*suite{
	{tls.TLS_AES_128_GCM_SHA256, 16, sha256.Size, sha256.New, gcm},
	{tls.TLS_AES_256_GCM_SHA384, 32, sha512.Size384, sha512.New384, gcm},
	{tls.TLS_CHACHA20_POLY1305_SHA256, chacha20poly1305.KeySize, sha256.Size, sha256.New, chacha20poly1305.New},
}

func suiteByID(id uint16) *suite {
	if i := slices.IndexFunc(suites, func(s *suite) bool { return s.id == id }); i >= 0 {
		return suites[i]
	}
	return nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expand is HKDF-Expand-Label of RFC 8446, 7.1, with an empty context.
func (s *suite) expand(secret []byte, label string, length int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label...)
	info = append(info, 0)
	out, err := hkdf.Expand(s.hash, secret, string(info), length)
	if err != nil { // only for lengths that no label here has
		panic(err)
	}
	return out
}

// Half is one direction of a connection: a traffic secret, and the number of the next record under it. It says nothing
// when it is printed. It is not safe for concurrent use.
type Half struct {
	Seq uint64 // the number of the next record

	suite *suite
	aead  cipher.AEAD // of the secret, once it was needed
	key   *key
}

// key is what nobody may see. It is behind a pointer, since fmt prints what a pointer points to in some places where it does not ask the
// type's methods, unexported fields for instance, but never what the next pointer there points to.
type key struct {
	secret [maxSecret]byte // the first suite.hashLen bytes
	iv     [nonceLen]byte  // with the cipher
	nonce  [nonceLen]byte  // here since what interfaces are given is allocated
}

// NewHalf returns the half that begins with a traffic secret. It copies the secret, whose length must be that of the
// suite's hash.
func NewHalf(suite uint16, secret []byte) (*Half, error) {
	s := suiteByID(suite)
	if s == nil || len(secret) != s.hashLen {
		return nil, errSecret
	}
	h := &Half{suite: s, key: new(key)}
	copy(h.key.secret[:], secret)
	return h, nil
}

// cipher returns the cipher of the secret.
func (h *Half) cipher() cipher.AEAD {
	if h.aead != nil {
		return h.aead
	}
	secret := h.key.secret[:h.suite.hashLen]
	text := h.suite.expand(secret, "key", h.suite.keyLen)
	iv := h.suite.expand(secret, "iv", nonceLen)
	aead, err := h.suite.aead(text)
	if err != nil { // only for keys of another length
		panic(err)
	}
	copy(h.key.iv[:], iv)
	clear(text)
	clear(iv)
	h.aead = aead
	return aead
}

// nonceOf is RFC 8446, 5.3.
func (h *Half) nonceOf(seq uint64) []byte {
	k := h.key
	k.nonce = k.iv
	number := k.nonce[nonceLen-8:]
	binary.BigEndian.PutUint64(number, binary.BigEndian.Uint64(number)^seq)
	return k.nonce[:]
}

// Rest gives back the memory of the cipher, some 1 KB, of a half that is not used for a while.
func (h *Half) Rest() { h.aead = nil }

// Update goes on to the next secret, as after a KeyUpdate (RFC 8446, 7.2).
func (h *Half) Update() {
	next := h.suite.expand(h.key.secret[:h.suite.hashLen], "traffic upd", h.suite.hashLen)
	copy(h.key.secret[:], next)
	clear(next)
	h.Seq, h.aead = 0, nil
}

// Clear zeroes the secret. The half is of no use afterwards. What the cipher has made of its key is left to the
// collector: nothing can clear it.
func (h *Half) Clear() {
	if h == nil {
		return
	}
	if h.key != nil {
		*h.key = key{}
	}
	h.aead, h.suite = nil, nil
}

// Clone returns a copy of h.
func (h *Half) Clone() *Half {
	c := &Half{Seq: h.Seq, suite: h.suite, key: new(key)}
	if h.key != nil {
		c.key.secret = h.key.secret
	}
	return c
}

// OpenAt opens record, a whole one with its header, as number seq under the secret. The content is in dst, which may be
// the record from its header on, and else must not overlap it; it is allocated if dst has too little capacity. Seq stays
// as it is. The error is the [tls.AlertError] that crypto/tls answers with (halfConn.decrypt).
func (h *Half) OpenAt(dst []byte, seq uint64, record []byte) (kind byte, content []byte, err error) {
	content, err = h.cipher().Open(dst[:0], h.nonceOf(seq), record[HeaderLen:], record[:HeaderLen])
	switch {
	case err != nil:
		return 0, nil, alertBadRecordMAC
	case record[0] != TypeApplicationData:
		return 0, nil, alertUnexpectedMessage
	case len(content) > maxPlaintext+1:
		return 0, nil, alertRecordOverflow
	case len(content) == 0: // not even a type; crypto/tls takes that for no data
		return TypeApplicationData, content, nil
	}
	for i, b := range slices.Backward(content) { // padding
		if b != 0 {
			return b, content[:i], nil
		}
	}
	return 0, nil, alertUnexpectedMessage
}

// Seal appends the next record to dst. content, at most 16384 bytes, must not overlap dst. The number is used up, also if the
// record is then not sent.
func (h *Half) Seal(dst []byte, kind byte, content []byte) ([]byte, error) {
	if h.Seq >= MaxRecords {
		return dst, errKeyLimit
	}
	at, n := len(dst), len(content)+1+tagLen
	dst = append(dst, TypeApplicationData, 3, 3, byte(n>>8), byte(n))
	dst = append(append(dst, content...), kind)
	header, inner := dst[at:at+HeaderLen], dst[at+HeaderLen:]
	aead := h.cipher()
	sealed := aead.Seal(dst[:at+HeaderLen], h.nonceOf(h.Seq), inner, header)
	h.Seq++
	return sealed, nil
}

// EndsHandshake reports whether the content of a record is whole messages of a handshake, the last of which is Finished: the
// next record in this direction is the first under the next secret (RFC 8446, 4.4.4).
func EndsHandshake(kind byte, content []byte) bool {
	message := byte(0)
	for kind == TypeHandshake && len(content) >= 4 {
		n := 4 + int(content[1])<<16 + int(content[2])<<8 + int(content[3])
		if n > len(content) {
			return false
		}
		message, content = content[0], content[n:]
	}
	return message == messageFinished && len(content) == 0
}

// IsKeyUpdate reports whether the content of a record is one whole KeyUpdate (RFC 8446, 4.6.3).
func IsKeyUpdate(kind byte, content []byte) bool {
	return kind == TypeHandshake && len(content) == len(keyUpdate) && [4]byte(content) == [4]byte(keyUpdate[:4]) && content[4] <= 1
}

// keyUpdate is the message that does not request one.
var keyUpdate = [5]byte{messageKeyUpdate, 0, 0, 1, 0}

// String says nothing.
func (Half) String() string { return "tlsrec.Half" }

// GoString says nothing.
func (Half) GoString() string { return "tlsrec.Half" }

// Format says nothing, whatever the verb.
func (Half) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("tlsrec.Half")) }
