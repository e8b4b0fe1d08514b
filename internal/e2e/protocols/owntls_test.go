package protocols

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// ownGroups are those of the program owntls.
const ownGroups = `[clients]
mode https
listen 127.0.0.1:0
key key.pem
cert cert.pem
[modern]
mode https
listen 127.0.0.1:0
key key.pem
cert cert.pem
[chosen]
mode https
listen 127.0.0.1:0
move_tls yes
`

// writeNamed writes a pair for a name into a daemon's directory.
func writeNamed(t *testing.T, d *daemon.Daemon, name string) {
	t.Helper()
	require.NoError(t, daemon.WriteKeyPairTo(filepath.Join(d.Dir, name+"-key.pem"), filepath.Join(d.Dir, name+"-cert.pem"), func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{name}, nil
	}))
}

// pairOf reads the pair of a daemon's directory whose files begin so.
func pairOf(t *testing.T, d *daemon.Daemon, prefix string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(d.Dir, prefix+"cert.pem"), filepath.Join(d.Dir, prefix+"key.pem"))
	require.NoError(t, err)
	return pair
}

// ask makes a request on a connection of its own. The client believes in the certificate that is in the files of its daemon.
func ask(t *testing.T, d *daemon.Daemon, group string, conf *tls.Config) (answer string, state *tls.ConnectionState, err error) {
	t.Helper()
	to := daemontest.Target(t, d, group)
	transport := &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	resp, err := client.Get("https://" + to.Address + "/")
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), resp.TLS, err
}

// believing trusts just the certificate of a pair, and asks for a name.
func believing(pair tls.Certificate, name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	return &tls.Config{RootCAs: roots, ServerName: name}
}

// TestTLSOfTheProgram: what a program says of TLS counts in each generation.
func TestTLSOfTheProgram(t *testing.T) {
	d := daemontest.Prepare(t, binaries.OwnTLS(t), ownGroups)
	writeNamed(t, d, "a.test")
	writeNamed(t, d, "b.test")
	require.NoError(t, d.Start(t.Context()))
	localhost := pairOf(t, d, "")
	for generation := 1; generation <= 3; generation++ {
		want := fmt.Sprintf("generation %d", generation)
		conf := believing(localhost, "localhost")
		if answer, _, err := ask(t, d, "clients", conf); err == nil {
			t.Errorf("a client without a certificate is answered: %s", answer)
		}
		conf.Certificates = []tls.Certificate{localhost}
		if answer, _, err := ask(t, d, "clients", conf); err != nil || answer != want {
			t.Errorf("a client with a certificate: %q, %v, want %s", answer, err, want)
		}
		conf = believing(localhost, "localhost")
		if answer, state, err := ask(t, d, "modern", conf); err != nil || answer != want || state.Version != tls.VersionTLS13 {
			t.Errorf("modern: %q, %v, want %s by TLS 1.3", answer, err, want)
		}
		conf.MaxVersion = tls.VersionTLS12
		if _, _, err := ask(t, d, "modern", conf); err == nil {
			t.Error("a client of TLS 1.2 is answered")
		}
		for _, name := range []string{"a.test", "b.test"} {
			if answer, _, err := ask(t, d, "chosen", believing(pairOf(t, d, name+"-"), name)); err != nil || answer != want {
				t.Errorf("%s: %q, %v, want %s", name, answer, err, want)
			}
		}
		if generation < 3 {
			upgradeByControl(t, d)
		}
	}
}

// A program without TLS of its own needs the pair, and says so; gozdctl cannot know whose configuration it is.
func TestTLSThatNobodyHas(t *testing.T) {
	d := daemontest.Start(t, daemontest.SecureGroup)
	require.NoError(t, d.Configure(strings.NewReplacer("key key.pem\n", "", "cert cert.pem\n", "").Replace(daemontest.SecureGroup)))
	_, err := d.Upgrade(t.Context())
	if err == nil || !strings.Contains(err.Error(), "app.conf:4: [secure]: key is missing: mode https needs one") {
		t.Errorf("upgrade: %v", err)
	}
	out, err := d.Command(t.Context(), "-t").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "app.conf:4: [secure]: key is missing: mode https needs one") {
		t.Errorf("-t: %v, %s", err, out)
	}

	own := daemontest.Prepare(t, binaries.OwnTLS(t), ownGroups)
	if out, err := own.Command(t.Context(), "-t").CombinedOutput(); err != nil {
		t.Errorf("-t of a program with TLS of its own: %v, %s", err, out)
	}
	require.NoError(t, own.Configure(strings.NewReplacer("key key.pem\n", "", "cert cert.pem\n", "").Replace(ownGroups)))
	out, err = own.Command(t.Context()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "app.conf:4: [clients]: no certificate: ") {
		t.Errorf("start without any certificate: %v, %s", err, out)
	}
}

// TestSeveralPairs: clients are shown the certificate of the name that they ask for.
func TestSeveralPairs(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), "[secure]\nmode https\nlisten 127.0.0.1:0\nmove_tls yes\n"+
		"key   a.test-key.pem, b.test-key.pem\ncert  a.test-cert.pem, b.test-cert.pem\nclient_ca cert.pem\n")
	names := []string{"a.test", "b.test"}
	for _, name := range names {
		writeNamed(t, d, name)
	}
	require.NoError(t, d.Start(t.Context()))
	client := pairOf(t, d, "")
	for range 2 {
		for _, name := range names {
			conf := believing(pairOf(t, d, name+"-"), name)
			if _, _, err := ask(t, d, "secure", conf); err == nil {
				t.Errorf("%s: a client without a certificate is answered", name)
			}
			conf.Certificates = []tls.Certificate{pairOf(t, d, name+"-")}
			if _, _, err := ask(t, d, "secure", conf); err == nil {
				t.Errorf("%s: a client with a certificate of others is answered", name)
			}
			conf.Certificates = []tls.Certificate{client}
			if _, _, err := ask(t, d, "secure", conf); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		upgradeByControl(t, d)
	}
	require.NoError(t, os.WriteFile(filepath.Join(d.Dir, "b.test-cert.pem"), nil, 0o600))
	if _, err := d.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), "app.conf:4: [secure]: cert "+filepath.Join(d.Dir, "b.test-cert.pem")) {
		t.Errorf("upgrade with a broken second pair: %v", err)
	}
}
