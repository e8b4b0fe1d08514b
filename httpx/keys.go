package httpx

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

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
	leaf  [32]byte     // of the group's certificate
	audit func() error // nil: there is nothing to be compared
}

// Pack implements [listener.Cargo].
func (k *keys) Pack() ([]byte, error) {
	if tlswatch.Err() != nil {
		return nil, whyStays(tlsrec.Off)
	}
	state, err := k.mover.Freeze()
	if err != nil {
		return nil, whyStays(err)
	}
	defer state.Clear()
	packed, err := k.pack(state)
	if err != nil {
		clear(packed)
		k.mover.Thaw()
		return nil, whyStays(err)
	}
	return packed, nil
}

func (k *keys) pack(state *tlsrec.State) ([]byte, error) {
	if time.Since(state.HandshakeAt) > maxAge {
		return nil, errTooOld
	}
	if state.Leaf == [32]byte{} { // a session was resumed, by a ticket that depends on the certificate (internal/tickets)
		state.Leaf = k.leaf
	}
	return state.Append(make([]byte, 0, tlsrec.MaxStateLen))
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
	case tlsrec.Busy, tlsrec.Reading, tlsrec.Unread, tlsrec.Frozen, tlsrec.Closed:
		return fmt.Errorf("%w: %w", listener.ErrBusy, err)
	}
	// The last record was too long to be kept while nobody thought of a move. There is another one after the next request.
	return &listener.StayError{Reason: string(reason), Passes: reason == tlsrec.NoProof}
}

// takes says why this generation does not go on with a connection that another one would hand over, or returns nil: it goes on with none that
// it would not have made itself. The bytes are another process's, and whoever can send them has the connection.
func (l *secured) takes(packed []byte) error {
	if err := tlswatch.Err(); err != nil {
		return err
	}
	state, err := tlsrec.ParseState(packed)
	if err != nil {
		return err
	}
	defer state.Clear()
	conf := l.Config()
	switch age := time.Since(state.HandshakeAt); {
	case state.Leaf != l.leaf:
		return errors.New("httpx: this generation has another certificate")
	case conf.MinVersion > tls.VersionTLS13 || conf.MaxVersion != 0 && conf.MaxVersion < tls.VersionTLS13:
		return errors.New("httpx: this generation does not speak TLS 1.3")
	case conf.ClientAuth != tls.NoClientCert:
		return errors.New("httpx: this generation asks for a certificate of the client")
	case !slices.Contains(conf.NextProtos, "http/1.1") || state.NegotiatedProtocol != "" && state.NegotiatedProtocol != "http/1.1":
		return fmt.Errorf("httpx: this generation does not go on with the protocol %q", state.NegotiatedProtocol)
	case age > maxAge:
		return errTooOld
	}
	return nil
}

// leafOf returns the digest of the certificate that clients are shown.
func leafOf(conf *tls.Config) [32]byte {
	if len(conf.Certificates) == 0 || len(conf.Certificates[0].Certificate) == 0 {
		return [32]byte{}
	}
	return sha256.Sum256(conf.Certificates[0].Certificate[0])
}
