package tlswatch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// errDiffer is of two sides that do not understand each other.
var errDiffer = errors.New("tlswatch: the client has got something else than was sent")

// patience is how long the test may take on a machine that has no time for it.
const patience = 30 * time.Second

// SelfTest has a connection that crypto/tls has made move twice, in memory, with KeyUpdates before and after, and compares what
// the record layer writes with known answers for every suite (crypto/tls chooses the suite itself). If one of them fails nothing
// moves in this process, see [Err]. It takes some milliseconds, the first time; later calls return the same.
func SelfTest() error { return selfTest() }

var selfTest = sync.OnceValue(func() error {
	if err := Err(); err != nil {
		return err
	}
	err := tlsrec.KnownAnswers()
	if err == nil {
		err = tryMove()
	}
	if err != nil {
		return switchOff(fmt.Errorf("%w: %w", ErrSelfTest, err))
	}
	return nil
})

// tryMove moves a connection from crypto/tls to package tlsrec, and from there again.
func tryMove() error {
	cert, err := Certificate()
	if err != nil {
		return err
	}
	near, far := net.Pipe()
	end := func() { _, _ = near.Close(), far.Close() }
	defer end()
	defer time.AfterFunc(patience, end).Stop()
	watched := New(near)
	server := tls.Server(watched, Config(&tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		CurvePreferences: []tls.CurveID{tls.X25519}, // the exchange of keys is not what is tried, and others cost more
	}))
	client, err := shakeHands(server, far)
	if err != nil {
		return err
	}
	if err := exchange(client, server); err != nil {
		return err
	}
	first, err := move(near, watched, server)
	if err != nil {
		return err
	}
	if err := watched.Audit(server); err != nil {
		return err
	}
	if err := exchange(client, first); err != nil {
		return err
	}
	second, err := move(near, first, first)
	if err != nil {
		return err
	}
	return exchange(client, second)
}

// move freezes a connection after a Read at a deadline, and returns the one that goes on.
func move(conn net.Conn, from interface {
	Freeze() (*tlsrec.State, error)
}, above net.Conn,
) (*tlsrec.Conn, error) {
	_ = above.SetReadDeadline(time.Unix(1, 0))
	if _, err := above.Read(make([]byte, 1)); err == nil {
		return nil, errDiffer
	}
	_ = above.SetReadDeadline(time.Time{})
	s, err := from.Freeze()
	if err != nil {
		return nil, err
	}
	defer s.Clear()
	b, err := s.Append(make([]byte, 0, tlsrec.MaxStateLen))
	defer clear(b)
	if err != nil {
		return nil, err
	}
	there, err := tlsrec.ParseState(b)
	if err != nil {
		return nil, err
	}
	return tlsrec.Server(conn, there)
}

// keyLog is the client's.
type keyLog struct{ keys }

func (k *keyLog) Write(line []byte) (int, error) {
	k.learn(line)
	return len(line), nil
}

// shakeHands returns the client's side of a handshake, as a record layer that can change its keys.
func shakeHands(server *tls.Conn, far net.Conn) (*tlsrec.Conn, error) {
	log := new(keyLog)
	defer log.clear()
	client := tls.Client(far, &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // both are this process
		KeyLogWriter:       log,
	})
	served := make(chan error, 1)
	go func() { served <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-served); err != nil {
		return nil, err
	}
	cs := client.ConnectionState()
	log.suite = cs.CipherSuite
	out, in := log.half(ofIn+1), log.half(ofOut+1)
	if in == nil || out == nil {
		return nil, errDiffer
	}
	s, err := tlsrec.NewState(tlsrec.State{Suite: cs.CipherSuite, HandshakeAt: time.Now()}, in, out)
	if err != nil {
		return nil, err
	}
	return tlsrec.Server(far, s)
}

// exchange has the client change both sides' keys and send something that the server answers, twice. What goes through a pipe waits for its
// reader, so each side of the client has a goroutine.
func exchange(client *tlsrec.Conn, server net.Conn) error {
	for range 2 {
		text, got := []byte("there and back"), make([]byte, 14)
		sent, answered := make(chan error, 1), make(chan error, 1)
		go func() {
			err := client.UpdateKeys(true)
			if err == nil {
				_, err = client.Write(text)
			}
			sent <- err
		}()
		answer := make([]byte, len(text))
		go func() {
			_, err := io.ReadFull(client, answer)
			answered <- err
		}()
		_, err := io.ReadFull(server, got)
		if err == nil {
			_, err = server.Write(got)
		}
		if err != nil {
			return err // the others end with the pipe
		}
		if err := errors.Join(<-sent, <-answered); err != nil {
			return err
		}
		if !bytes.Equal(answer, text) {
			return errDiffer
		}
	}
	return nil
}

// Certificate returns a certificate for connections of this process with itself, which nobody else sees; always the same. Its key is of P-256, for
// which crypto/ecdsa has its tables in the binary: those of Ed25519 are made at first use, in a millisecond, while a new process has better to do.
func Certificate() (tls.Certificate, error) { return certificate() }

var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
})
