package tlswatch_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// stays are what a client does, or the server, after which the connection stays, and whether it is served as before.
var stays = []struct {
	name   string
	want   tlsrec.Reason
	served bool
	do     func(tb testing.TB, s served)
}{
	{"not idle", tlsrec.Unread, true, func(tb testing.TB, s served) {
		s.raw.Send(data, "a")
		_, err := io.ReadFull(s.tls, make([]byte, 1))
		require.NoError(tb, err)
	}},
	{"half read", tlsrec.Unread, true, func(tb testing.TB, s served) {
		s.raw.Send(data, "ab")
		_, err := io.ReadFull(s.tls, make([]byte, 1))
		require.NoError(tb, err)
		s.tls.SetReadDeadline(time.Unix(1, 0))
		s.tls.SetReadDeadline(time.Time{})
	}},
	{"one of two records", tlsrec.Unread, true, func(tb testing.TB, s served) {
		s.raw.Write(append(s.raw.Seal(data, "a", 0), s.raw.Seal(data, "b", 0)...))
		_, err := io.ReadFull(s.tls, make([]byte, 1))
		require.NoError(tb, err)
	}},
	{"a piece of a record", tlsrec.Busy, false, func(tb testing.TB, s served) {
		s.raw.Write(s.raw.Seal(data, "a", 0)[:3])
		idle(tb, s.tls)
	}},
	{"a record but for its last byte", tlsrec.Busy, false, func(tb testing.TB, s served) {
		b := s.raw.Seal(data, "a", 0)
		s.raw.Write(b[:len(b)-1])
		idle(tb, s.tls)
	}},
	{"a padded KeyUpdate", tlsrec.NoProof, true, func(tb testing.TB, s served) {
		s.raw.Write(s.raw.Seal(handshake, tlspeer.KeyUpdate(false), 40))
		s.raw.Out.Update()
		idle(tb, s.tls)
	}},
	{"a padded KeyUpdate, and data", tlsrec.Lost, true, func(tb testing.TB, s served) {
		s.raw.Write(s.raw.Seal(handshake, tlspeer.KeyUpdate(true), 40))
		s.raw.Out.Update()
		ask(tb, s.raw, s.tls, "hello")
		idle(tb, s.tls)
	}},
	{"a padded KeyUpdate, and data of five bytes", tlsrec.Lost, true, func(tb testing.TB, s served) {
		s.raw.Write(s.raw.Seal(handshake, tlspeer.KeyUpdate(false), 40))
		s.raw.Out.Update()
		ask(tb, s.raw, s.tls, "12345")
		idle(tb, s.tls)
	}},
	{"a piece of a KeyUpdate", tlsrec.NoProof, false, func(tb testing.TB, s served) {
		s.raw.Send(handshake, "\x18\x00")
		idle(tb, s.tls)
	}},
	{"a piece that looks like one", tlsrec.NoProof, false, func(tb testing.TB, s served) {
		s.raw.Write(s.raw.Seal(handshake, "\x18\x00", 3))
		idle(tb, s.tls)
	}},
	{"a KeyUpdate in pieces", tlsrec.NoProof, true, func(tb testing.TB, s served) {
		s.raw.Send(handshake, "\x18\x00")
		s.raw.Send(handshake, "\x00\x01\x00")
		s.raw.Out.Update()
		idle(tb, s.tls)
	}},
	{"the rest of a message that looks like one", tlsrec.NoProof, false, func(tb testing.TB, s served) {
		s.raw.Send(handshake, "\x16\x00")
		s.raw.Send(handshake, tlspeer.KeyUpdate(false))
		idle(tb, s.tls)
	}},
	{"a KeyUpdate after a large record", tlsrec.NoProof, true, func(tb testing.TB, s served) {
		ask(tb, s.raw, s.tls, strings.Repeat("a", 16384))
		s.raw.UpdateKeys(false)
		idle(tb, s.tls)
	}},
	{"a large record last", tlsrec.NoProof, true, func(tb testing.TB, s served) {
		ask(tb, s.raw, s.tls, strings.Repeat("a", 16384))
		idle(tb, s.tls)
	}},
	{"user_canceled", tlsrec.Closed, true, func(tb testing.TB, s served) {
		s.raw.Send(alert, "\x01\x5a")
		idle(tb, s.tls)
	}},
	{"close_notify", tlsrec.Unread, false, func(tb testing.TB, s served) {
		s.raw.Send(alert, "\x01\x00")
		if _, err := s.tls.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			tb.Error(err)
		}
	}},
	{"a record that does not open", tlsrec.Lost, false, func(_ testing.TB, s served) {
		b := s.raw.Seal(data, "12345", 0)
		b[8] ^= 1
		s.raw.Write(b)
		s.tls.Read(make([]byte, 1))
	}},
	{"a long one that does not open", tlsrec.Unread, false, func(_ testing.TB, s served) {
		b := s.raw.Seal(data, "1234567890", 0)
		b[8] ^= 1
		s.raw.Write(b)
		s.tls.Read(make([]byte, 1))
	}},
	{"a plain alert", tlsrec.Lost, false, func(_ testing.TB, s served) {
		s.raw.Write([]byte("\x15\x03\x03\x00\x02\x02\x00"))
		s.tls.Read(make([]byte, 1))
	}},
	{"an oversized record", tlsrec.Busy, false, func(_ testing.TB, s served) {
		s.raw.Write([]byte("\x17\x03\x03\xff\xff"))
		s.tls.Read(make([]byte, 1))
	}},
	{"the end without a close_notify", tlsrec.Closed, false, func(tb testing.TB, s served) {
		ask(tb, s.raw, s.tls, "a")
		_ = s.raw.Conn.(interface{ CloseWrite() error }).CloseWrite()
		if _, err := s.tls.Read(make([]byte, 1)); err == nil {
			tb.Error("read beyond the end")
		}
	}},
	{"CloseWrite", tlsrec.Closed, false, func(tb testing.TB, s served) {
		ask(tb, s.raw, s.tls, "a")
		idle(tb, s.tls)
		require.NoError(tb, s.tls.CloseWrite())
	}},
	{"Close", tlsrec.Closed, false, func(tb testing.TB, s served) { require.NoError(tb, s.tls.Close()) }},
}

// TestStays has each reason that a client or a server can make. Where the connection still stands it is served on, with the same keys.
func TestStays(t *testing.T) {
	for _, test := range stays {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, tlspeer.ServerConfig(t))
			test.do(t, s)
			if state, err := s.watched.State(); !errors.Is(err, test.want) || state != nil {
				t.Errorf("State = %v, %v; want %v", state, err, test.want)
			}
			if state, err := s.watched.Freeze(); !errors.Is(err, test.want) || state != nil {
				t.Errorf("Freeze = %v, %v; want %v", state, err, test.want)
			}
			if !test.served {
				return
			}
			for range 2 {
				s.tls.SetReadDeadline(time.Unix(1, 0))
				io.ReadAll(s.tls) // what the server had not read
				s.tls.SetReadDeadline(time.Time{})
				ask(t, s.raw, s.tls, "after it")
			}
		})
	}
}

// TestMovesAgain has a connection that had no proof get one.
func TestMovesAgain(t *testing.T) {
	s := serve(t, tlspeer.ServerConfig(t))
	large := strings.Repeat("a", 16384)
	ask(t, s.raw, s.tls, large)
	idle(t, s.tls)
	if _, err := s.watched.State(); !errors.Is(err, tlsrec.NoProof) {
		t.Fatalf("after a large record: %v", err)
	}
	tlswatch.Draining(true)
	defer tlswatch.Draining(false)
	if _, err := s.watched.State(); !errors.Is(err, tlsrec.NoProof) {
		t.Fatalf("the record is gone: %v", err)
	}
	ask(t, s.raw, s.tls, large)
	idle(t, s.tls)
	if _, err := s.watched.State(); err != nil {
		t.Errorf("while draining: %v", err)
	}
	tlswatch.Draining(false)
	ask(t, s.raw, s.tls, large)
	ask(t, s.raw, s.tls, "small")
	idle(t, s.tls)
	if _, err := s.watched.State(); err != nil {
		t.Errorf("after a small record: %v", err)
	}
}

// TestReadingStays has a Read wait.
func TestReadingStays(t *testing.T) {
	s := serve(t, tlspeer.ServerConfig(t))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.tls.Read(make([]byte, 1))
	}()
	require.Eventually(t, "reading", func() bool {
		_, err := s.watched.Freeze()
		return errors.Is(err, tlsrec.Reading)
	})
	s.tls.SetReadDeadline(time.Unix(1, 0))
	<-ended
	_, err := s.watched.Freeze()
	require.NoError(t, err)
}

// TestHandshakeStays freezes a connection at each byte of its handshake.
func TestHandshakeStays(t *testing.T) {
	clientEnd, serverEnd := tlspeer.Pipe()
	watched := tlswatch.New(serverEnd)
	if _, err := watched.Freeze(); !errors.Is(err, tlsrec.Untracked) {
		t.Errorf("before: %v", err)
	}
	looked := &looking{Conn: watched, look: func() {
		if _, err := watched.Freeze(); err == nil {
			t.Error("frozen in its handshake")
		}
	}}
	tlspeer.Pair(t, clientEnd, looked, tlswatch.Config(tlspeer.ServerConfig(t)))
	if looked.n < 5 {
		t.Errorf("looked %d times only", looked.n)
	}
}

type looking struct {
	net.Conn
	look func()
	n    int
}

func (l *looking) NetConn() net.Conn { return l.Conn }

func (l *looking) Read(p []byte) (int, error) {
	l.look()
	n, err := l.Conn.Read(p[:min(len(p), 50)])
	l.look()
	l.n++
	return n, err
}

func (l *looking) Write(p []byte) (int, error) {
	l.look()
	defer l.look()
	return l.Conn.Write(p)
}

// TestConfigurationsThatStay has connections of other kinds.
func TestConfigurationsThatStay(t *testing.T) {
	mine, err := tlspeer.NewCertificate("client")
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(mine.Certificate[0])
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	for _, test := range []struct {
		name           string
		want           tlsrec.Reason
		server, client func(c *tls.Config)
	}{
		{"TLS 1.2", tlsrec.Version, func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"a client's certificate", tlsrec.ClientCertificate, func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, func(c *tls.Config) { c.Certificates = []tls.Certificate{mine} }},
		{"a verified one", tlsrec.ClientCertificate, func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool }, func(c *tls.Config) { c.Certificates = []tls.Certificate{mine} }},
		{"no certificate of the client", "", func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, func(*tls.Config) {}},
		{"a HelloRetryRequest", "", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }, func(*tls.Config) {}},
		{"no ALPN", "", func(c *tls.Config) { c.NextProtos = nil }, func(*tls.Config) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, log := tlspeer.ServerConfig(t), new(tlspeer.Log)
			clientConfig := tlspeer.ClientConfig(log)
			test.server(config)
			test.client(clientConfig)
			clientEnd, serverEnd := tlspeer.Pipe()
			watched := tlswatch.New(serverEnd)
			client, server := tls.Client(clientEnd, clientConfig), tls.Server(watched, tlswatch.Config(config))
			tlspeer.Handshake(t, client, server)
			talk(t, client, server)
			idle(t, server)
			if _, err := watched.State(); test.want == "" && err != nil || test.want != "" && !errors.Is(err, test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			talk(t, client, server)
		})
	}
}

// talk sends something there and back.
func talk(tb testing.TB, client, server net.Conn) {
	tb.Helper()
	buf := make([]byte, 5)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		_, err := way[0].Write([]byte("hello"))
		require.NoError(tb, err)
		if _, err := io.ReadFull(way[1], buf); err != nil || string(buf) != "hello" {
			tb.Fatalf("%q, %v", buf, err)
		}
	}
}
