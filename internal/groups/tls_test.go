package groups

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/totals"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// fixture is a daemon with one group of mode https, as far as its TLS goes.
type fixture struct {
	dir        string
	conf       *config.Config
	log        lockedbuf.Buffer
	generation int
	tickets    []tickets.Secret // of the parent
	tls        func(group string, base *tls.Config) *tls.Config
}

// newFixture has the pair "a" and, after that, what keys says of the group.
func newFixture(t *testing.T, keys string) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), generation: 1}
	f.write(t, "a", func(*x509.Certificate) {})
	conf, err := config.Parse(filepath.Join(f.dir, "app.conf"), []byte("[web]\nmode https\nlisten 127.0.0.1:0\n"+keys), config.Options{Environ: []string{}, OwnTLS: true})
	if err != nil {
		t.Fatal(err)
	}
	f.conf = conf
	return f
}

const pairA = "key a-key.pem\ncert a-cert.pem\n"

// write writes a pair that is valid at the time of a bubble, too.
func (f *fixture) write(t *testing.T, name string, change func(*x509.Certificate)) {
	t.Helper()
	since := func(c *x509.Certificate) {
		c.NotBefore = time.Unix(0, 0)
		change(c)
	}
	if err := daemon.WriteKeyPairTo(filepath.Join(f.dir, name+"-key.pem"), filepath.Join(f.dir, name+"-cert.pem"), since); err != nil {
		t.Fatal(err)
	}
}

// pair is what the files of that name have.
func (f *fixture) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(f.dir, name+"-cert.pem"), filepath.Join(f.dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

type noSockets struct{}

func (noSockets) Inherit(_, _ upgrade.Socket) (socket.Socket, error) { return nil, os.ErrInvalid }
func (noSockets) Add(upgrade.Socket, socket.Socket) error            { return nil }
func (noSockets) Reopen(string) (socket.Socket, error)               { return nil, os.ErrInvalid }

func (f *fixture) claim() (*Set, error) {
	return Claim(Options{
		Totals: totals.Open(nil),
		Conf:   f.conf, Parent: &upgrade.Manifest{Generation: f.generation}, Sockets: noSockets{}, Tickets: f.tickets, TLS: f.tls,
		Log: slog.New(slog.NewTextHandler(&f.log, nil)), Gate: make(chan struct{}), Release: make(chan struct{}), Accepting: func() {},
	})
}

// begin is claim, for as long as the test takes, and without those who look at files meanwhile.
func (f *fixture) begin(t *testing.T) *Set {
	t.Helper()
	set, err := f.claim()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Abandon)
	return set
}

func (set *Set) web() *tls.Config { return set.byName["web"].face.(*listener.TLSListener).Config() }

// TestTLSConfigOffers: net/http's own Serve cannot say that it has no HTTP/2, so the configuration can.
func TestTLSConfigOffers(t *testing.T) {
	for value, want := range map[string][]string{"yes": {"h2", "http/1.1"}, "no": {"http/1.1"}} {
		if got := newFixture(t, pairA+"http2 "+value).begin(t).web().NextProtos; !slices.Equal(got, want) {
			t.Errorf("http2 %s offers %v, want %v", value, got, want)
		}
	}
}

// The program is asked once for each group, gets what there would be without it, and has the last word.
func TestProgramsTLS(t *testing.T) {
	f := newFixture(t, pairA+"client_ca a-cert.pem\n[api]\nmode https\nlisten 127.0.0.1:0\nkey a-key.pem\ncert a-cert.pem\n[plain]\nmode http\nlisten 127.0.0.1:0\n")
	var asked []string
	shared := &tls.Config{Certificates: []tls.Certificate{f.pair(t, "a")}, MinVersion: tls.VersionTLS13}
	f.tls = func(group string, base *tls.Config) *tls.Config {
		asked = append(asked, group)
		if len(base.Certificates) != 1 || base.MinVersion != tls.VersionTLS12 || (base.ClientAuth == tls.RequireAndVerifyClientCert) != (group == "web") {
			t.Errorf("base of %s: %+v", group, base)
		}
		if group == "web" {
			return nil
		}
		return shared
	}
	set := f.begin(t)
	if !slices.Equal(asked, []string{"web", "api"}) {
		t.Errorf("asked for %v", asked)
	}
	if web := set.web(); web.MinVersion != tls.VersionTLS12 || web.ClientCAs == nil {
		t.Errorf("nil is not base: %+v", web)
	}
	if api := set.byName["api"].face.(*listener.TLSListener).Config(); api.MinVersion != tls.VersionTLS13 || api == shared {
		t.Errorf("api has %+v, want a clone of the program's", api)
	}
}

func TestNoCertificate(t *testing.T) {
	f := newFixture(t, "")
	f.tls = func(string, *tls.Config) *tls.Config { return nil }
	_, err := f.claim()
	if want := f.conf.File + ":1: [web]: no certificate: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Claim: %v, want %s…", err, want)
	}
	f.tls = func(string, *tls.Config) *tls.Config { return &tls.Config{Certificates: make([]tls.Certificate, 1)} }
	if _, err := f.claim(); err == nil || !strings.HasSuffix(err.Error(), ":1: [web]: the program's Options.TLS has an empty certificate") {
		t.Errorf("Claim: %v, want that the certificate is empty", err)
	}
	f.tls = func(_ string, base *tls.Config) *tls.Config {
		base.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
		return base
	}
	f.begin(t)
}

// Who else would serve? A later generation has a parent who does.
func TestExpired(t *testing.T) {
	f := newFixture(t, pairA)
	f.write(t, "a", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })
	f.begin(t)
	if !strings.Contains(f.log.String(), "a-cert.pem: it expired on ") {
		t.Errorf("the first generation has logged %q", f.log.String())
	}
	f.generation = 2
	if _, err := f.claim(); err == nil || !strings.Contains(err.Error(), "a-cert.pem: it expired on ") {
		t.Errorf("Claim of the second: %v", err)
	}
}

// TestSessions: a session goes on in a successor, and after a renewal, if it could begin there.
func TestSessions(t *testing.T) {
	const withCA = pairA + "client_ca ca-cert.pem\n"
	same := func(*testing.T, *fixture) {}
	renew := func(name string) func(*testing.T, *fixture) {
		return func(t *testing.T, f *fixture) { t.Helper(); f.write(t, name, func(*x509.Certificate) {}) }
	}
	asking := func(_ *fixture, base *tls.Config) { base.ClientAuth = tls.RequestClientCert }
	verifying := func(_ *fixture, base *tls.Config) {
		base.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return nil }
	}
	own := func(change func(f *fixture, base *tls.Config)) func(*fixture) {
		return func(f *fixture) {
			f.tls = func(_ string, base *tls.Config) *tls.Config { change(f, base); return base }
		}
	}
	for name, test := range map[string]struct {
		keys     string
		own      func(*fixture)
		between  func(*testing.T, *fixture)
		resumes  bool // in a successor
		renewing bool // in the same generation, after it has read the files again
	}{
		"nothing new":              {pairA, nil, same, true, true},
		"new pair":                 {pairA, nil, renew("a"), false, false},
		"nothing new, client_ca":   {withCA, nil, same, true, true},
		"new client_ca":            {withCA, nil, renew("ca"), false, false},
		"several pairs, new first": {"key a-key.pem, ca-key.pem\ncert a-cert.pem, ca-cert.pem\n", nil, renew("a"), false, false},
		"several pairs, new last":  {"key a-key.pem, ca-key.pem\ncert a-cert.pem, ca-cert.pem\n", nil, renew("ca"), false, false},
		"the program chooses": {"", own(func(f *fixture, base *tls.Config) {
			pair, _ := tls.LoadX509KeyPair(filepath.Join(f.dir, "a-cert.pem"), filepath.Join(f.dir, "a-key.pem"))
			base.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }
		}), same, true, true},
		"the program asks for certificates":           {pairA, own(asking), same, false, true},
		"the program asks for certificates, new pair": {pairA, own(asking), renew("a"), false, false},
		"the program verifies":                        {withCA, own(verifying), same, false, true},
		"the program verifies, new pair":              {withCA, own(verifying), renew("a"), false, false},
		"the program verifies, new client_ca":         {withCA, own(verifying), renew("ca"), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.keys)
			f.write(t, "ca", func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} })
			if test.own != nil {
				test.own(f)
			}
			first := f.begin(t)
			client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
			client.Certificates = []tls.Certificate{f.pair(t, "ca")}
			if shake(t, first.web(), client) || !shake(t, first.web(), client) {
				t.Fatal("the first generation does not resume just its own sessions")
			}
			test.between(t, f)
			client.Certificates = []tls.Certificate{f.pair(t, "ca")}
			f.generation, f.tickets = 2, first.TLS().Tickets()
			if got := shake(t, f.begin(t).web(), copied(client)); got != test.resumes {
				t.Errorf("resumed in the successor: %v, want %v", got, test.resumes)
			}
			if _, err := first.TLS().Renew(); err != nil {
				t.Fatal(err)
			}
			if got := shake(t, first.web(), client); got != test.renewing {
				t.Errorf("resumed after the files were read again: %v, want %v", got, test.renewing)
			}
		})
	}
}

// copied has a session of its own, the same one.
func copied(client *tls.Config) *tls.Config {
	session, _ := client.ClientSessionCache.Get("localhost")
	client = client.Clone()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	client.ClientSessionCache.Put("localhost", session)
	return client
}

// shake reports whether a client resumes its session.
func shake(t *testing.T, server, client *tls.Config) (resumed bool) {
	t.Helper()
	there, here := loopback.Pair(t, "tcp")
	for _, c := range []net.Conn{here, there} {
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan error, 1)
	go func() {
		_, err := tls.Server(there, server).Write([]byte("x")) // with the ticket
		served <- err
	}()
	conn := tls.Client(here, client)
	_, err := conn.Read(make([]byte, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().DidResume
}

// Whom the program of the successor refuses does not resume there: crypto/tls would not ask it.
func TestProgramThatVerifiesClients(t *testing.T) {
	f := newFixture(t, pairA+"client_ca ca-cert.pem\n")
	f.write(t, "ca", func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} })
	asked := 0
	f.tls = func(_ string, base *tls.Config) *tls.Config {
		base.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { asked++; return nil }
		return base
	}
	first := f.begin(t)
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	client.Certificates = []tls.Certificate{f.pair(t, "ca")}
	shake(t, first.web(), client)
	f.generation, f.tickets = 2, first.TLS().Tickets()
	if shake(t, f.begin(t).web(), copied(client)) || asked != 2 {
		t.Errorf("the client resumes in the successor, and the program was asked %d times, want twice", asked)
	}
}
