//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestCertificatesOfTheProgram has each program serve by a certificate that it has got before: each generation finds it in the cache.
func TestCertificatesOfTheProgram(t *testing.T) {
	for program, keep := range map[string]func(t *testing.T, cache string, pair *pair){".": asAutocert, "./certmagic": asCertmagic} {
		t.Run(filepath.Base(program), func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "acme")
			out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, program).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			d := daemontest.Prepare(t, binary, "[secure]\nmode https\nlisten 127.0.0.1:0\n")
			cache := t.TempDir()
			d.Env = []string{"ACME_NAMES=" + name, "ACME_CACHE=" + cache, "ACME_CA=" + authority}
			p := newPair(t)
			keep(t, cache, p)
			require.NoError(t, d.Start(t.Context()))
			for generation := 1; generation <= 2; generation++ {
				if got, want := get(t, daemontest.Target(t, d, "secure").Address, p.leaf), fmt.Sprintf("generation %d HTTP/2.0\n", generation); got != want {
					t.Errorf("answer %q, want %q", got, want)
				}
				if generation == 1 {
					daemontest.Upgrade(t, d)
				}
			}
		})
	}
}

const (
	name      = "www.example.test"
	authority = "https://127.0.0.1:1/directory" // nobody
)

type pair struct {
	key, cert []byte
	leaf      *x509.Certificate
}

func newPair(t *testing.T) *pair {
	t.Helper()
	keyFile, certFile := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "cert")
	require.NoError(t, daemon.WriteKeyPairTo(keyFile, certFile, func(c *x509.Certificate) {
		c.DNSNames, c.NotAfter = []string{name}, time.Now().AddDate(0, 3, 0) // it is renewed in its last month
	}))
	both, err := tls.LoadX509KeyPair(certFile, keyFile)
	require.NoError(t, err)
	key, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	cert, err := os.ReadFile(certFile)
	require.NoError(t, err)
	return &pair{key, cert, both.Leaf}
}

// asAutocert writes the key, then the certificate.
func asAutocert(t *testing.T, cache string, p *pair) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(cache, name), slices.Concat(p.key, p.cert), 0o600))
}

func asCertmagic(t *testing.T, cache string, p *pair) {
	t.Helper()
	issuer := (&certmagic.ACMEIssuer{CA: authority}).IssuerKey()
	for key, data := range map[string][]byte{
		certmagic.StorageKeys.SitePrivateKey(issuer, name): p.key,
		certmagic.StorageKeys.SiteCert(issuer, name):       p.cert,
		certmagic.StorageKeys.SiteMeta(issuer, name):       []byte(`{"sans": ["` + name + `"]}`),
	} {
		require.NoError(t, (&certmagic.FileStorage{Path: cache}).Store(t.Context(), key, data))
	}
}

func get(t *testing.T, address string, cert *x509.Certificate) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get("https://" + address)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}
