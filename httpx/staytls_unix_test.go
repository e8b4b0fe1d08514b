//go:build unix

package httpx_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// What cannot move stays, is counted with its reason, and is told to go with an answer, as always.
func TestTLSThatStays(t *testing.T) {
	other := serverTLS.Clone()
	other.Certificates = []tls.Certificate{otherCertificate(t)}
	noHTTP1 := new(http.Protocols)
	noHTTP1.SetHTTP2(true)
	for _, tt := range []struct {
		name   string
		client func(*tls.Config)
		next   func() *generation
		reason string
	}{
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, nil, "version"},
		{"another certificate", nil, func() *generation {
			return secureGeneration(t, "tcp", &http.Server{Handler: by("new")}, other)
		}, "refused"},
		{"certificates of clients", nil, func() *generation {
			conf := serverTLS.Clone()
			conf.ClientAuth = tls.RequireAnyClientCert
			return secureGeneration(t, "tcp", &http.Server{Handler: by("new")}, conf)
		}, "refused"},
		{"no TLS 1.3", nil, func() *generation {
			conf := serverTLS.Clone()
			conf.MaxVersion = tls.VersionTLS12
			return secureGeneration(t, "tcp", &http.Server{Handler: by("new")}, conf)
		}, "refused"},
		{"another exchange of keys", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, func() *generation {
			conf := serverTLS.Clone()
			conf.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}
			return secureGeneration(t, "tcp", &http.Server{Handler: by("new")}, conf)
		}, "refused"},
		{"no HTTP/1.1", nil, func() *generation {
			return secureGeneration(t, "tcp", &http.Server{Handler: by("new"), Protocols: noHTTP1}, serverTLS)
		}, "refused"},
		{"a program that chooses the certificate", nil, func() *generation {
			conf := serverTLS.Clone()
			conf.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
			return secureGeneration(t, "tcp", &http.Server{Handler: by("new")}, conf)
		}, "refused"},
		{"no httpx", nil, func() *generation { return bareGeneration(t) }, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := named(t, "old")
			c := old.secureClient(t, tt.client)
			c.wantPost(t, "old", "x")
			next := named(t, "new")
			if tt.next != nil {
				next = tt.next()
			}
			old.replaceBy(t, next)
			old.wantStayed(t, map[string]uint64{tt.reason: 1})
			c.wantTold(t)
			if got := old.Stats().Out; got != 0 {
				t.Errorf("%d connections have moved", got)
			}
		})
	}
}

// bareGeneration is one whose program calls http.Serve.
func bareGeneration(t *testing.T) *generation {
	t.Helper()
	g := &generation{Listener: listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "web", SilentKey: silentKey, SealedKey: sealedKey})}
	g.succession = succession.New(t, g.Listener)
	srv := &http.Server{Handler: by("bare")}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(listener.NewTLS(g.Listener, serverTLS.Clone()))
	}()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return g
}

// A program that calls http.Serve is served as ever, and its connections stay.
func TestTLSOfPlainServeStays(t *testing.T) {
	old := bareGeneration(t)
	c := old.secureClient(t, nil)
	c.wantPost(t, "bare", "x")
	old.replaceBy(t, named(t, "new"))
	for range 3 {
		c.wantPost(t, "bare", "y")
	}
	if got := old.Stats().Out; got != 0 {
		t.Errorf("%d connections have moved", got)
	}
}

// An older generation knows nothing of keys: what cannot move to it is told to go.
func TestTLSToAnOlderGeneration(t *testing.T) {
	old := named(t, "old")
	older := &generation{Listener: listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "web"})}
	older.succession = succession.New(t, older.Listener)
	c := old.secureClient(t, nil)
	c.wantPost(t, "old", "x")
	silent := old.client(t)
	old.replaceBy(t, older)
	c.wantTold(t)
	tc := tls.Client(silent.Conn, clientTLS.Clone())
	if err := tc.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	newClient1(tc).wantTold(t)
	old.wantStayed(t, nil)
}

// A connection of the program's own HTTP/2 does not move: its keys are not kept for that.
func TestOwnHTTP2OverTLSIsNotFollowed(t *testing.T) {
	followed := make(chan *tlswatch.Conn, 1)
	conf := serverTLS.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	srv := &http.Server{Handler: by("it"), ConnState: func(c net.Conn, s http.ConnState) {
		if tc, ok := c.(*tls.Conn); ok && s == http.StateNew {
			if w, ok := tc.NetConn().(*tlswatch.Conn); ok {
				followed <- w
			}
		}
	}}
	if err := http2.ConfigureServer(srv, nil); err != nil {
		t.Fatal(err)
	}
	srv.TLSConfig = nil // the group has one
	g := secureGeneration(t, "tcp", srv, conf)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS.Clone(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + g.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if _, err := (<-followed).Freeze(); resp.ProtoMajor != 2 || !errors.Is(err, tlsrec.Reason("h2")) {
		t.Errorf("%s, and the state is kept: %v", resp.Proto, err)
	}
}
