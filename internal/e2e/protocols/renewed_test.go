package protocols

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestRenewedUnderLoad renews a pair often under clients of all kinds, who notice nothing: no upgrade, no request that fails, and no
// connection that ends.
func TestRenewedUnderLoad(t *testing.T) {
	d := daemontest.Start(t, movingGroup)
	to := daemontest.Target(t, d, "secure")
	l := load.New(nil)
	loadtest.AddHTTP(l, to)
	l.Add("HTTP/2", 3, func() (load.Client, error) { return load.NewHTTP2(to, load.HTTP2Options{BodySize: 1000}) })
	l.Interval = 5 * time.Millisecond
	l.Start(t.Context())
	for range 10 {
		loadtest.AwaitExchanges(t, l.Recorder(), 10)
		require.NoError(t, daemon.WriteKeyPair(d.Dir))
		answer, err := d.ReloadCerts(t.Context())
		if err != nil || !slices.Equal(answer.Renewed, []string{"secure"}) || answer.Generation != 1 {
			t.Fatalf("reload-certs: %+v, %v", answer, err)
		}
		if _, _, err := ask(t, d, "secure", believing(pairOf(t, d, ""), "localhost")); err != nil {
			t.Errorf("the renewed certificate is not what a client is shown: %v", err)
		}
	}
	loadtest.End(t, l)
	for _, s := range l.Recorder().Snapshot().Kinds {
		if s.Reconnects > 0 {
			t.Errorf("%s: %d reconnects", s.Kind, s.Reconnects)
		}
	}
	answer, err := d.ReloadCerts(t.Context())
	if err != nil || answer.Renewed != nil {
		t.Errorf("reload-certs without anything new: %+v, %v", answer, err)
	}
}

// TestRenewedSessions: sessions go on over a reload that has nothing new, and those by the old certificate are not resumed after one that has. A
// connection that was made by the old one stays at an upgrade, one by the new one moves.
func TestRenewedSessions(t *testing.T) {
	d := daemontest.Start(t, movingGroup)
	c := newReturning(t, d, tls.VersionTLS13)
	c.visit(t)
	to := daemontest.Target(t, d, "secure")
	dial := func() *asker {
		conn, err := tls.Dial(to.Network, to.Address, to.TLS)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return newAsker(t, conn)
	}
	old := dial()
	old.post(t, "x")
	if _, err := d.ReloadCerts(t.Context()); err != nil || !c.visit(t).DidResume {
		t.Errorf("reload-certs without anything new has ended sessions, or failed: %v", err)
	}
	require.NoError(t, daemon.WriteKeyPair(d.Dir))
	if _, err := d.ReloadCerts(t.Context()); err != nil || c.visit(t).DidResume {
		t.Errorf("a session by the old certificate has been resumed, or the reload has failed: %v", err)
	}
	if !c.visit(t).DidResume {
		t.Error("a session by the new certificate has not been resumed")
	}
	renewed := dial()
	renewed.post(t, "x")
	upgradeByControl(t, d)
	if got := renewed.post(t, "y"); got != "2" {
		t.Errorf("generation %s answers on the connection by the new certificate, want 2", got)
	}
	if !c.visit(t).DidResume {
		t.Error("a session by the new certificate has not been resumed after an upgrade")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/", nil)
	require.NoError(t, err)
	resp := old.ask(t, req)
	_ = resp.Body.Close()
	if got := resp.Header.Get("X-Gozd-Generation"); got != "1" || !resp.Close {
		t.Errorf("generation %s answers on the connection by the old certificate, close %v, want 1 and its end", got, resp.Close)
	}
}

// TestNotRenewed: what is bad changes nothing, is named in the answer and in the log, and is taken when it has been mended.
func TestNotRenewed(t *testing.T) {
	d := daemontest.Start(t, daemontest.SecureGroup)
	first, key := pairOf(t, d, ""), read(t, d, "key.pem")
	write := func(change func(*x509.Certificate)) {
		require.NoError(t, daemon.WriteKeyPairTo(filepath.Join(d.Dir, "key.pem"), filepath.Join(d.Dir, "cert.pem"), change))
	}
	for want, spoil := range map[string]func(){
		"private key does not match public key": func() {
			write(func(*x509.Certificate) {})
			require.NoError(t, os.WriteFile(filepath.Join(d.Dir, "key.pem"), key, 0o600))
		},
		"it expired on":        func() { write(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }) },
		"it is not valid befo": func() { write(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }) },
		"it is for b.test, ":   func() { write(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"b.test"}, nil }) },
		"no such file":         func() { require.NoError(t, os.Remove(filepath.Join(d.Dir, "key.pem"))) },
	} {
		spoil()
		_, err := d.ReloadCerts(t.Context())
		var answer *client.AnswerError
		if !errors.As(err, &answer) || answer.Answer.Code != protocol.CodeFailed || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "app.conf:4: [secure]: cert "+d.Dir) {
			t.Errorf("reload-certs: %v, want %q", err, want)
		}
		daemontest.AwaitLog(t, d, want)
		if _, _, err := ask(t, d, "secure", believing(first, "localhost")); err != nil {
			t.Errorf("after %q: %v", want, err)
		}
	}
	write(func(*x509.Certificate) {})
	if answer, err := d.ReloadCerts(t.Context()); err != nil || len(answer.Renewed) != 1 {
		t.Errorf("reload-certs of the mended pair: %+v, %v", answer, err)
	}
}

func read(t *testing.T, d *daemon.Daemon, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(d.Dir, name))
	require.NoError(t, err)
	return data
}
