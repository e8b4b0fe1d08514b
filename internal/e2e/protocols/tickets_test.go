package protocols

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// returning is a client that comes back on a new connection for every request, and
// has kept its TLS session.
type returning struct {
	transport *http.Transport
	url       string
}

func newReturning(t *testing.T, d *daemon.Daemon, version uint16) *returning {
	t.Helper()
	to := daemontest.Target(t, d, "secure")
	config := to.TLS.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	config.MinVersion, config.MaxVersion = version, version
	c := &returning{&http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, "https://" + to.Address + "/"}
	t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// visit makes one request and returns the connection's state.
func (c *returning) visit(t *testing.T) *tls.ConnectionState {
	t.Helper()
	client := &http.Client{Transport: c.transport, Timeout: 30 * time.Second}
	resp, err := client.Get(c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return resp.TLS
}

// TestSessionsResumeAfterUpgrades has clients come back before and after each of
// many upgrades: all but the very first visit resume.
func TestSessionsResumeAfterUpgrades(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			d := daemontest.Start(t, daemontest.SecureGroup)
			c := newReturning(t, d, version)
			if c.visit(t).DidResume {
				t.Error("the first visit resumed a session that there was not")
			}
			for n := range 10 {
				for range 5 {
					if !c.visit(t).DidResume {
						t.Errorf("after %d upgrades a session was not resumed", n)
					}
				}
				daemontest.Upgrade(t, d)
			}
		})
	}
}

// TestNewCertificateAtTheNextUpgrade replaces the files on the disk: the running
// generation keeps its pair until it looks at them, the next one has the new, and no session of the old
// one hides it. A broken pair fails the upgrade.
func TestNewCertificateAtTheNextUpgrade(t *testing.T) {
	d := daemontest.Start(t, daemontest.SecureGroup)
	c := newReturning(t, d, tls.VersionTLS13)
	first := leaf(c.visit(t))
	if err := daemon.WriteKeyPair(d.Dir); err != nil {
		t.Fatal(err)
	}
	if state := c.visit(t); !state.DidResume || !leaf(state).Equal(first) {
		t.Error("the new files count before the upgrade")
	}
	upgradeByControl(t, d)
	state := c.visit(t)
	if state.DidResume || leaf(state).Equal(first) {
		t.Errorf("after the upgrade: resumed %v, old certificate %v, want neither", state.DidResume, leaf(state).Equal(first))
	}
	second := leaf(state)

	if err := os.WriteFile(filepath.Join(d.Dir, "cert.pem"), []byte("half a certi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("upgrade with a broken certificate: %v, want an error that names the file", err)
	}
	if state := c.visit(t); !state.DidResume || !leaf(state).Equal(second) {
		t.Error("after the failed upgrade not all is as before")
	}
}

// upgradeByControl returns when no older generation accepts any more, which nobody who looks at the state file can know.
func upgradeByControl(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	c, err := client.Dial(t.Context(), d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upgrade(t.Context(), client.UpgradeOptions{NoDrain: true}, nil); err != nil {
		t.Fatal(err)
	}
}

func leaf(s *tls.ConnectionState) *x509.Certificate { return s.PeerCertificates[0] }
