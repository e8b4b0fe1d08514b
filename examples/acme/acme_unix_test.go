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

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestCertificatesOfTheProgram has the program serve by a certificate that autocert has got before: each generation finds it in the cache.
func TestCertificatesOfTheProgram(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "acme")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := daemontest.Prepare(t, binary, "[secure]\nmode https\nlisten 127.0.0.1:0\n")
	cache := t.TempDir()
	d.Env = []string{"ACME_NAMES=www.example.test", "ACME_CACHE=" + cache}
	cert := fill(t, cache, "www.example.test")
	require.NoError(t, d.Start(t.Context()))
	for generation := 1; generation <= 2; generation++ {
		if got, want := get(t, daemontest.Target(t, d, "secure").Address, cert), fmt.Sprintf("generation %d\n", generation); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
		if generation == 1 {
			daemontest.Upgrade(t, d)
		}
	}
}

// fill writes a pair as autocert keeps it: the key, then the certificate.
func fill(t *testing.T, cache, name string) *x509.Certificate {
	t.Helper()
	keyFile, certFile := filepath.Join(cache, "key"), filepath.Join(cache, "cert")
	require.NoError(t, daemon.WriteKeyPairTo(keyFile, certFile, func(c *x509.Certificate) {
		c.DNSNames, c.NotAfter = []string{name}, time.Now().AddDate(0, 3, 0) // autocert renews what expires within 30 days
	}))
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	require.NoError(t, err)
	key, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	certPEM, err := os.ReadFile(certFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(cache, name), slices.Concat(key, certPEM), 0o600))
	return pair.Leaf
}

func get(t *testing.T, address string, cert *x509.Certificate) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: cert.DNSNames[0]}, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get("https://" + address)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}
