//go:build unix

package httpx_test

import (
	"crypto/tls"
	"net/http"
	"testing"
)

// certified is a generation with certificates of its own.
func certified(t *testing.T, name string, certs ...tls.Certificate) *generation {
	t.Helper()
	conf := serverTLS.Clone()
	conf.Certificates = certs
	return secureGeneration(t, "tcp", &http.Server{Handler: by(name)}, conf)
}

// A program that decides in handshakes might decide otherwise in the next generation: its connections stay.
func TestTLSOfAProgramThatDecidesStays(t *testing.T) {
	for name, decide := range map[string]func(*tls.Config){
		"GetCertificate": func(c *tls.Config) {
			cert := &c.Certificates[0]
			c.Certificates, c.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
		},
		"GetConfigForClient": func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		},
		"VerifyConnection": func(c *tls.Config) { c.VerifyConnection = func(tls.ConnectionState) error { return nil } },
	} {
		t.Run(name, func(t *testing.T) {
			conf := serverTLS.Clone()
			decide(conf)
			old := secureGeneration(t, "tcp", &http.Server{Handler: by("old")}, conf)
			c := old.secureClient(t, nil)
			c.wantPost(t, "old", "x")
			old.replaceBy(t, named(t, "new"))
			old.wantStayed(t, map[string]uint64{"hooks": 1})
			c.wantTold(t)
		})
	}
}

// A connection that was made by the certificate before the renewal stays, and one that was made by the new one moves.
func TestTLSMovesByItsOwnCertificate(t *testing.T) {
	renewed := otherCertificate(t)
	old := named(t, "old")
	before := old.secureClient(t, nil)
	before.wantPost(t, "old", "x")
	conf := old.secure.Config().Clone()
	conf.Certificates = []tls.Certificate{renewed}
	old.secure.Replace(conf)
	after := old.secureClient(t, func(c *tls.Config) { c.InsecureSkipVerify = true })
	after.wantPost(t, "old", "x")
	old.replaceBy(t, certified(t, "new", renewed))
	old.wantMoved(t, 1)
	after.wantPost(t, "new", "y")
	old.wantStayed(t, map[string]uint64{"refused": 1})
	before.wantTold(t)
}

// With several certificates, what was shown counts: the successor has to have it, and may have others. Which one a resumed session began
// with nobody knows, so all have to be the same.
func TestTLSMovesWithSeveralCertificates(t *testing.T) {
	first, second := serverTLS.Certificates[0], otherCertificate(t)
	for name, test := range map[string]struct {
		next           []tls.Certificate
		first, resumes bool // the connection that was made by a handshake in full moves, and the one that has resumed its session
	}{
		"the same":                       {[]tls.Certificate{first, second}, true, true},
		"without that of others":         {[]tls.Certificate{first}, true, false},
		"without the one that was shown": {[]tls.Certificate{second}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			old := certified(t, "old", first, second)
			cache := tls.NewLRUClientSessionCache(0)
			moves := map[*client1]bool{}
			for i, move := range []bool{test.first, test.resumes} {
				c := old.secureClient(t, func(c *tls.Config) { c.ClientSessionCache = cache })
				c.wantPost(t, "old", "x")
				if got := c.Conn.(*tls.Conn).ConnectionState().DidResume; got != (i == 1) {
					t.Fatalf("connection %d has resumed: %v", i, got)
				}
				moves[c] = move
			}
			next := certified(t, "new", test.next...)
			old.replaceBy(t, next)
			eventually(t, "end of all moves", func() bool { return old.Stats().Out+old.Stayed()["refused"] == 2 })
			for c, move := range moves {
				if move {
					c.wantPost(t, "new", "y")
				} else {
					c.wantTold(t)
				}
			}
		})
	}
}
