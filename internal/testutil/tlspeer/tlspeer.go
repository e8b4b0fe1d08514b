// Package tlspeer has the other side of connections of TLS 1.3 for tests: with a cipher suite at will, whose secrets are known, and
// whose records are made by hand.
package tlspeer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
	_ "unsafe" // for go:linkname

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// The suites that crypto/tls offers and chooses from. They are nobody's to set but this package's, and that of QUIC for which the
// names are kept.
//
//go:linkname offered crypto/tls.defaultCipherSuitesTLS13
var offered []uint16

//go:linkname offeredNoAES crypto/tls.defaultCipherSuitesTLS13NoAES
var offeredNoAES []uint16

// Suites are those of TLS 1.3.
var Suites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}

// Force has all handshakes of this process take a suite, until the test is over. Such tests are not parallel.
func Force(tb testing.TB, suite uint16) {
	tb.Helper()
	before, beforeNoAES := offered, offeredNoAES
	offered, offeredNoAES = []uint16{suite}, []uint16{suite}
	tb.Cleanup(func() { offered, offeredNoAES = before, beforeNoAES })
}

// EachSuite runs a test with each suite.
func EachSuite(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, suite := range Suites {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			Force(t, suite)
			test(t)
		})
	}
}

var certificate = sync.OnceValues(func() (tls.Certificate, error) { return NewCertificate("localhost", "example.com") })

// Certificate returns one for localhost and example.com, that of the process.
func Certificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	cert, err := certificate()
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// NewCertificate makes a certificate, which signs itself.
func NewCertificate(names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names,
		// By no clock: the first test may run in a bubble of testing/synctest, in the year 2000.
		NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA:     true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// ServerConfig returns one of TLS 1.3 with [Certificate], that sends no tickets: the first record of both sides is the first one of data.
func ServerConfig(tb testing.TB) *tls.Config {
	tb.Helper()
	return &tls.Config{
		Certificates: []tls.Certificate{Certificate(tb)}, MinVersion: tls.VersionTLS13,
		SessionTicketsDisabled: true, NextProtos: []string{"http/1.1"},
	}
}

// ClientConfig returns one for it, which writes its secrets into log.
func ClientConfig(log *Log) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "example.com", NextProtos: []string{"http/1.1"}, KeyLogWriter: log}
}

// Log is a KeyLogWriter that keeps the secrets. Its zero value is empty.
type Log struct {
	mu      sync.Mutex
	secrets map[string][]byte
}

// The labels of the secrets of data.
const (
	ClientSecret = "CLIENT_TRAFFIC_SECRET_0"
	ServerSecret = "SERVER_TRAFFIC_SECRET_0"
)

// Write takes a line.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secrets == nil {
		l.secrets = make(map[string][]byte)
	}
	fields := bytes.Fields(line)
	secret, err := hex.DecodeString(string(fields[2]))
	l.secrets[string(fields[0])] = secret
	return len(line), err
}

// Secret returns the last one with a label.
func (l *Log) Secret(label string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.secrets[label])
}

// Half returns the half that begins with such a secret.
func (l *Log) Half(tb testing.TB, suite uint16, label string) *tlsrec.Half {
	tb.Helper()
	h, err := tlsrec.NewHalf(suite, l.Secret(label))
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// Handshake shakes hands.
func Handshake(tb testing.TB, client, server *tls.Conn) {
	tb.Helper()
	served := make(chan error, 1)
	go func() { served <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-served); err != nil {
		tb.Fatal(err)
	}
}

// Pair shakes hands over both ends of a connection. The client has read no more than the handshake's records then.
func Pair(tb testing.TB, clientEnd, serverEnd net.Conn, config *tls.Config) (client, server *tls.Conn, log *Log) {
	tb.Helper()
	log = new(Log)
	client, server = tls.Client(&slow{Conn: clientEnd}, ClientConfig(log)), tls.Server(serverEnd, config)
	Handshake(tb, client, server)
	return client, server, log
}
