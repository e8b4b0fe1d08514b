package groups

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRenew(t *testing.T) {
	f := newFixture(t, pairA)
	set := f.begin(t)
	before := set.web()
	if renewed, err := set.TLS().Renew(); renewed != nil || err != nil || set.web() != before {
		t.Errorf("Renew without anything new = %v, %v", renewed, err)
	}
	f.write(t, "a", func(*x509.Certificate) {})
	if renewed, err := set.TLS().Renew(); !slices.Equal(renewed, []string{"web"}) || err != nil {
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
			renewed, err := set.TLS().Renew()
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
	if renewed, err := set.TLS().Renew(); len(renewed) != 1 || err != nil {
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

		set.TLS().Pause()
		f.write(t, "a", func(*x509.Certificate) {})
		pass(10)
		if set.web() != second {
			t.Error("a generation that drains looks at files")
		}
		set.tls.resume()
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

// What the program has added to base's authorities, or put in the place of a pair, is the program's.
func TestRenewLeavesWhatWasAdded(t *testing.T) {
	f := newFixture(t, pairA+"client_ca ca-cert.pem\n")
	f.write(t, "ca", func(*x509.Certificate) {})
	f.write(t, "extra", func(c *x509.Certificate) { c.DNSNames = []string{"extra.test"} })
	extra := f.pair(t, "extra")
	f.tls = func(_ string, base *tls.Config) *tls.Config {
		base.ClientCAs.AddCert(extra.Leaf)
		return base
	}
	set := f.begin(t)
	f.write(t, "a", func(*x509.Certificate) {})
	if renewed, err := set.TLS().Renew(); len(renewed) != 1 || err != nil {
		t.Errorf("Renew = %v, %v", renewed, err)
	}
	with := set.web().ClientCAs.Clone()
	if with.AddCert(extra.Leaf); !with.Equal(set.web().ClientCAs) {
		t.Error("the program's authority is gone after the renewal of a pair")
	}

	f.tls = func(_ string, base *tls.Config) *tls.Config {
		base.Certificates[0] = extra
		return base
	}
	set = f.begin(t)
	f.write(t, "a", func(*x509.Certificate) {})
	if _, err := set.TLS().Renew(); err != nil || !bytes.Equal(set.web().Certificates[0].Certificate[0], extra.Certificate[0]) {
		t.Errorf("the program's certificate is gone after the renewal of a pair, %v", err)
	}
}

// The files of all groups are bounded together, at a start and whenever they are read again.
func TestFilesOfAllGroupsAreBounded(t *testing.T) {
	const tooMuch = "[other]: cert "
	pairs := "key " + strings.Repeat("a-key.pem,", 7) + "a-key.pem\ncert " + strings.Repeat("a-cert.pem,", 7) + "a-cert.pem\n"
	f := newFixture(t, pairs+"[other]\nmode https\nlisten 127.0.0.1:0\n"+strings.ReplaceAll(pairs, "a-cert", "b-cert"))
	cert := f.read(t, "a-cert.pem")
	long := append(slices.Clone(cert), bytes.Repeat([]byte("\n"), 1<<20-len(cert))...)
	f.writeFile(t, "b-cert.pem", cert)
	set := f.begin(t)

	f.writeFile(t, "a-cert.pem", long)
	if renewed, err := set.TLS().Renew(); !slices.Equal(renewed, []string{"web"}) || err != nil {
		t.Errorf("Renew with 8 MiB = %v, %v", renewed, err)
	}
	f.writeFile(t, "b-cert.pem", long)
	for what, err := range map[string]error{"Renew": second(set.TLS().Renew()), "claim": second(f.claim())} {
		if err == nil || !strings.Contains(err.Error(), tooMuch) || !strings.HasSuffix(err.Error(), "have more than 16777216 bytes together") {
			t.Errorf("%s with 16 MiB and some keys: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
