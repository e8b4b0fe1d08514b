package groups

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
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
		Conf: f.conf, Parent: &upgrade.Manifest{Generation: f.generation}, Sockets: noSockets{}, Tickets: f.tickets, TLS: f.tls,
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

func (set *Set) web() *tls.Config { return set.byName["web"].tls.Config() }

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
	if api := set.byName["api"].tls.Config(); api.MinVersion != tls.VersionTLS13 || api == shared {
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

func TestRenew(t *testing.T) {
	f := newFixture(t, pairA)
	set := f.begin(t)
	before := set.web()
	if renewed, err := set.Renew(); renewed != nil || err != nil || set.web() != before {
		t.Errorf("Renew without anything new = %v, %v", renewed, err)
	}
	f.write(t, "a", func(*x509.Certificate) {})
	if renewed, err := set.Renew(); !slices.Equal(renewed, []string{"web"}) || err != nil {
		t.Errorf("Renew = %v, %v", renewed, err)
	}
	after := set.web()
	if !bytes.Equal(after.Certificates[0].Certificate[0], f.pair(t, "a").Certificate[0]) || !slices.Equal(after.NextProtos, before.NextProtos) {
		t.Errorf("after Renew %+v serves", after)
	}
	for name, breaks := range map[string]func(){
		"private key does not match": func() { f.writeFile(t, "a-key.pem", f.other(t)) },
		"no such file":               func() { f.remove(t, "a-cert.pem") },
		"PEM data":                   func() { f.writeFile(t, "a-cert.pem", []byte("-----BEGIN CERT")) },
		"it expired on":              func() { f.write(t, "a", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }) },
		"it is for b.test, and": func() {
			f.write(t, "a", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"b.test"}, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.write(t, "a", func(*x509.Certificate) {})
			breaks()
			renewed, err := set.Renew()
			if renewed != nil || err == nil || !strings.Contains(err.Error(), f.conf.File+":1: [web]: ") || !strings.Contains(err.Error(), name) {
				t.Errorf("Renew = %v, %v", renewed, err)
			}
			if set.web() != after {
				t.Error("something else serves")
			}
			if !strings.Contains(f.log.String(), "a-cert.pem") {
				t.Errorf("the log has %s", f.log.String())
			}
		})
	}
}

func (f *fixture) writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// other is the key of another certificate.
func (f *fixture) other(t *testing.T) []byte {
	t.Helper()
	f.write(t, "other", func(*x509.Certificate) {})
	data, err := os.ReadFile(filepath.Join(f.dir, "other-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What the program has put in the place of base's is not replaced by what the files have.
func TestRenewLeavesThePrograms(t *testing.T) {
	f := newFixture(t, pairA+"client_ca a-cert.pem\n")
	own := f.pair(t, "a")
	f.tls = func(_ string, base *tls.Config) *tls.Config {
		base.Certificates = []tls.Certificate{own}
		base.MinVersion = tls.VersionTLS13
		return base
	}
	set := f.begin(t)
	cas := set.web().ClientCAs
	f.write(t, "a", func(*x509.Certificate) {})
	if renewed, err := set.Renew(); len(renewed) != 1 || err != nil {
		t.Errorf("Renew = %v, %v", renewed, err)
	}
	after := set.web()
	if !bytes.Equal(after.Certificates[0].Certificate[0], own.Certificate[0]) || after.ClientCAs.Equal(cas) || after.MinVersion != tls.VersionTLS13 {
		t.Errorf("after Renew %+v serves, want the program's certificate, and the authorities of the file", after)
	}
}

// The files are looked at once a minute. What is bad is said once, and what has been mended is taken.
func TestLooksAtFiles(t *testing.T) {
	f := newFixture(t, pairA)
	pass := func(looks int) {
		for range looks {
			time.Sleep(lookInterval)
		}
		synctest.Wait()
	}
	synctest.Test(t, func(t *testing.T) {
		set := f.begin(t)
		first := set.web()
		pass(10)
		if set.web() != first || f.log.String() != "" {
			t.Errorf("without a change something else serves, or is logged: %s", f.log.String())
		}
		good := f.other(t)
		key := f.read(t, "a-key.pem")
		f.writeFile(t, "a-key.pem", good) // half of a renewal: the certificate comes later
		pass(10)
		if n := strings.Count(f.log.String(), "private key does not match public key"); n != 1 || set.web() != first {
			t.Errorf("the log has %d lines of 10 looks at a broken pair: %s", n, f.log.String())
		}
		f.writeFile(t, "a-cert.pem", f.read(t, "other-cert.pem"))
		pass(1)
		second := set.web()
		if second == first || !strings.Contains(f.log.String(), "certificates renewed") {
			t.Errorf("the renewed pair is not taken: %s", f.log.String())
		}
		f.writeFile(t, "a-key.pem", key) // the same error again is news again
		pass(2)
		if n := strings.Count(f.log.String(), "private key does not match public key"); n != 2 {
			t.Errorf("the second broken pair has been said %d times", n-1)
		}

		set.Pause()
		f.write(t, "a", func(*x509.Certificate) {})
		pass(10)
		if set.web() != second {
			t.Error("a generation that drains looks at files")
		}
		set.resumeTLS()
		pass(1)
		if set.web() == second {
			t.Error("a generation that serves again does not look at files")
		}
	})
}

func (f *fixture) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSessions: a session goes on in a successor, and after a renewal, if it could begin there.
func TestSessions(t *testing.T) {
	const withCA = pairA + "client_ca ca-cert.pem\n"
	same := func(*testing.T, *fixture) {}
	renew := func(name string) func(*testing.T, *fixture) {
		return func(t *testing.T, f *fixture) { t.Helper(); f.write(t, name, func(*x509.Certificate) {}) }
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
		"the program asks for certificates": {pairA, own(func(_ *fixture, base *tls.Config) { base.ClientAuth = tls.RequestClientCert }), same, false, true},
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
			f.generation, f.tickets = 2, first.Tickets()
			if got := shake(t, f.begin(t).web(), copied(client)); got != test.resumes {
				t.Errorf("resumed in the successor: %v, want %v", got, test.resumes)
			}
			if _, err := first.Renew(); err != nil {
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
