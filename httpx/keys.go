package httpx

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// maxAge is how long after its handshake a connection moves: a client that stays for longer makes another handshake some time, and so sees
// what has become of the certificate.
const maxAge = 24 * time.Hour

// errTooOld is the reason of a connection beyond maxAge.
const errTooOld tlsrec.Reason = "too old"

// keys pack a connection's for the next generation.
type keys struct {
	mover interface {
		Freeze() (*tlsrec.State, error)
		Thaw()
	}
	leaf  [32]byte     // of the group's certificates; for a connection that has come from another generation, whose state has it, none
	audit func() error // nil: there is nothing to be compared
}

// Pack implements [listener.Cargo].
func (k *keys) Pack(above []byte) ([]byte, error) {
	if tlswatch.Err() != nil {
		return nil, whyStays(tlsrec.Off)
	}
	state, err := k.mover.Freeze()
	if err != nil {
		return nil, whyStays(err)
	}
	defer state.Clear()
	packed, err := k.pack(state, above)
	if err != nil {
		clear(packed)
		k.mover.Thaw()
		return nil, whyStays(err)
	}
	return packed, nil
}

// pack returns the length of the state of TLS, in two bytes, that, and above.
func (k *keys) pack(state *tlsrec.State, above []byte) ([]byte, error) {
	if time.Since(state.HandshakeAt).Abs() > maxAge {
		return nil, errTooOld
	}
	if state.Leaf == [32]byte{} { // a session was resumed, by a ticket that depends on the certificate (internal/tickets)
		state.Leaf = k.leaf
	}
	b, err := state.Append(make([]byte, lengthLen, lengthLen+tlsrec.MaxStateLen+len(above)))
	binary.BigEndian.PutUint16(b, uint16(len(b)-lengthLen)) //nolint:gosec // at most MaxStateLen
	return append(b, above...), err
}

// lengthLen is the length of a state's length.
const lengthLen = 2

// unpack undoes pack. What it returns are parts of packed; both are nil where packed is nonsense.
func unpack(packed []byte) (state, above []byte) {
	if len(packed) < lengthLen || len(packed)-lengthLen < int(binary.BigEndian.Uint16(packed)) {
		return nil, nil
	}
	end := lengthLen + int(binary.BigEndian.Uint16(packed))
	return packed[lengthLen:end], packed[end:]
}

// Stay implements [listener.Cargo].
func (k *keys) Stay() { k.mover.Thaw() }

// Left implements [listener.Cargo].
func (k *keys) Left() error {
	if k.audit == nil {
		return nil
	}
	return k.audit()
}

// whyStays is err as the listener wants it.
func whyStays(err error) error {
	var reason tlsrec.Reason
	if !errors.As(err, &reason) {
		return err
	}
	switch reason {
	case tlsrec.Closed:
		return fmt.Errorf("%w: %w", net.ErrClosed, err)
	case tlsrec.Busy, tlsrec.Reading, tlsrec.Unread, tlsrec.Frozen:
		return fmt.Errorf("%w: %w", listener.ErrBusy, err)
	}
	// The last record was too long to be kept while nobody thought of a move. There is another one after the next request.
	return &listener.StayError{Reason: string(reason), Passes: reason == tlsrec.NoProof}
}

// admit says what becomes of a connection that another generation would hand over: this one goes on with none that
// it would not have made itself. The bytes are another process's, and whoever can send them has the connection.
func (l *secured) admit(packed []byte) (listener.Arrival, error) {
	if err := tlswatch.Err(); err != nil {
		return listener.Arrival{}, err
	}
	b, above := unpack(packed)
	state, err := tlsrec.ParseState(b)
	if err != nil {
		return listener.Arrival{}, err
	}
	defer state.Clear()
	if err := l.allows(state); err != nil {
		return listener.Arrival{}, err
	}
	switch {
	case state.NegotiatedProtocol == http2.NextProtoTLS:
		return l.server.h2.admit(above)
	case len(above) > 0:
		return l.server.admitHijacked(above)
	}
	return listener.Arrival{}, nil
}

// allows says why this generation would not have made the connection, or returns nil.
func (l *secured) allows(state *tlsrec.State) error {
	conf := l.Config()
	if !shows(conf, state.Leaf) {
		return errors.New("httpx: this generation has another certificate")
	}
	switch age := time.Since(state.HandshakeAt).Abs(); { // a time to come is as bad
	case isHooked(conf):
		return errors.New("httpx: the program of this generation decides in handshakes")
	case conf.MinVersion > tls.VersionTLS13 || conf.MaxVersion != 0 && conf.MaxVersion < tls.VersionTLS13:
		return errors.New("httpx: this generation does not speak TLS 1.3")
	case conf.CurvePreferences != nil && !slices.Contains(conf.CurvePreferences, state.CurveID):
		return fmt.Errorf("httpx: this generation does not exchange keys by %v", state.CurveID)
	case state.ECHAccepted && conf.EncryptedClientHelloKeys == nil && conf.GetEncryptedClientHelloKeys == nil:
		return errors.New("httpx: this generation has no keys for Encrypted Client Hello")
	case conf.ClientAuth != tls.NoClientCert:
		return errors.New("httpx: this generation asks for a certificate of the client")
	case !slices.Contains(conf.NextProtos, cmp.Or(state.NegotiatedProtocol, "http/1.1")):
		return fmt.Errorf("httpx: this generation does not go on with the protocol %q", state.NegotiatedProtocol)
	case age > maxAge:
		return errTooOld
	}
	return nil
}

// hooked is the reason of connections in whose handshake the program might have decided otherwise another time.
const hooked = "hooks"

func isHooked(conf *tls.Config) bool {
	return conf.GetCertificate != nil || conf.GetConfigForClient != nil || conf.VerifyConnection != nil
}

// leafOf returns the digest of the certificates that clients may be shown, all in one: which of them a session began with that is resumed, nobody
// knows. So the keys of tickets depend on all of them, too.
func leafOf(conf *tls.Config) (sum [32]byte) {
	if len(conf.Certificates) == 0 {
		return sum
	}
	h := sha256.New()
	for _, cert := range conf.Certificates {
		h.Write(cert.Certificate[0])
	}
	h.Sum(sum[:0])
	return sum
}

// shows reports whether clients may be shown the certificate of that digest, or of leafOf's.
func shows(conf *tls.Config, leaf [32]byte) bool {
	return leaf == leafOf(conf) || slices.ContainsFunc(conf.Certificates, func(cert tls.Certificate) bool {
		return leaf == sha256.Sum256(cert.Certificate[0])
	})
}
