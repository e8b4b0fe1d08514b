package tlswatch_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// certificates are of several names.
func certificates(tb testing.TB) (a, b tls.Certificate) {
	tb.Helper()
	a, err := tlspeer.NewCertificate("a.example.com")
	require.NoError(tb, err)
	b, err = tlspeer.NewCertificate("b.example.com", "*.b.example.com")
	require.NoError(tb, err)
	return a, b
}

// shake shakes hands, with the tracker or without it, and says which certificate the client has got.
func shake(tb testing.TB, config *tls.Config, client *tls.Config, tracked bool) (leaf []byte, watched *tlswatch.Conn, err error) {
	tb.Helper()
	clientEnd, serverEnd := tlspeer.Pipe()
	below := serverEnd
	if tracked {
		watched = tlswatch.New(serverEnd)
		below, config = watched, tlswatch.Config(config)
	}
	there, here := tls.Client(clientEnd, client), tls.Server(below, config)
	failed := make(chan error, 1)
	go func() {
		err := here.Handshake()
		if err == nil {
			_, err = here.Write([]byte("a"))
		}
		failed <- err
	}()
	_, err = io.ReadFull(there, make([]byte, 1))
	if err = errors.Join(err, <-failed); err != nil {
		return nil, watched, err
	}
	if all := there.ConnectionState().PeerCertificates; len(all) > 0 {
		leaf = all[0].Raw
	}
	if tracked {
		idle(tb, here)
	}
	return leaf, watched, nil
}

// TestCertificateIsTheSame compares the certificates that clients get with those without the tracker, and the digest in the state with both.
func TestCertificateIsTheSame(t *testing.T) {
	a, b := certificates(t)
	rejecting := errors.New("not for you")
	one := func(cert *tls.Certificate, err error) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, err }
	}
	names := &tls.Config{Certificates: []tls.Certificate{a, b}}
	names.BuildNameToCertificate() //nolint:staticcheck // programs may still do so
	for name, config := range map[string]*tls.Config{
		"one":                  {Certificates: []tls.Certificate{a}},
		"two":                  {Certificates: []tls.Certificate{a, b}},
		"two, by name":         names,
		"none":                 {},
		"asked":                {GetCertificate: one(&b, nil)},
		"asked, and one":       {GetCertificate: one(&b, nil), Certificates: []tls.Certificate{a}},
		"asked, and no answer": {GetCertificate: one(nil, nil), Certificates: []tls.Certificate{a, b}},
		"asked, and nothing":   {GetCertificate: one(nil, nil)},
		"asked, and an error":  {GetCertificate: one(nil, rejecting), Certificates: []tls.Certificate{a}},
		"another configuration": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{b}}, nil
		}},
		"no other configuration":      {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }, Certificates: []tls.Certificate{a}},
		"no configuration, an error":  {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, rejecting }, Certificates: []tls.Certificate{a}},
		"a connection that is denied": {VerifyConnection: func(tls.ConnectionState) error { return rejecting }, Certificates: []tls.Certificate{a}},
	} {
		for _, sni := range []string{"", "a.example.com", "b.example.com", "x.b.example.com", "B.example.com", "other"} {
			client := &tls.Config{ServerName: sni, InsecureSkipVerify: true}
			want, _, wantErr := shake(t, config, client, false)
			got, watched, gotErr := shake(t, config, client, true)
			if !bytes.Equal(got, want) || (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
				t.Errorf("%s, for %q: without the tracker %d bytes, %v; with it %d, %v", name, sni, len(want), wantErr, len(got), gotErr)
			}
			if gotErr != nil {
				continue
			}
			s, err := watched.State()
			require.NoError(t, err)
			if s.Leaf != sha256.Sum256(got) || s.ServerName != strings.TrimSuffix(sni, ".") {
				t.Errorf("%s, for %q: the state says otherwise", name, sni)
			}
		}
	}
}

// TestProgramIsAsked has all of a program's functions in a configuration called as often as without the tracker.
func TestProgramIsAsked(t *testing.T) {
	a, _ := certificates(t)
	run := func(tracked bool) (calls []string, lines int) {
		log := new(bytes.Buffer)
		config := &tls.Config{KeyLogWriter: log}
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			calls = append(calls, "certificate")
			return &a, nil
		}
		config.VerifyConnection = func(cs tls.ConnectionState) error {
			calls = append(calls, "verify "+cs.ServerName)
			return nil
		}
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			calls = append(calls, "config")
			return nil, nil
		}
		_, _, err := shake(t, config, &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true}, tracked)
		require.NoError(t, err)
		return calls, strings.Count(log.String(), "\n")
	}
	want, wantLines := run(false)
	got, lines := run(true)
	if !slices.Equal(got, want) || lines != wantLines || lines == 0 {
		t.Errorf("with the tracker %q and %d lines, without %q and %d", got, lines, want, wantLines)
	}
}

// TestSessionsAreResumed has clients come back: with automatic keys for tickets, with keys that are set before, and with some that are set later.
func TestSessionsAreResumed(t *testing.T) {
	for name, set := range map[string]func(base *tls.Config, round int){
		"automatic": func(*tls.Config, int) {},
		"set once": func(base *tls.Config, round int) {
			if round == 0 {
				base.SetSessionTicketKeys([][32]byte{{1}})
			}
		},
		"set later": func(base *tls.Config, round int) {
			keys := [][][32]byte{{{1}}, {{2}, {1}}, {{3}, {2}}, {{3}}} // the client has a ticket of the first one of the round before
			base.SetSessionTicketKeys(keys[round])
		},
	} {
		base := tlspeer.ServerConfig(t)
		base.SessionTicketsDisabled = false
		config := tlswatch.Config(base)
		client := tlspeer.ClientConfig(new(tlspeer.Log))
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for round := range 4 {
			set(base, round)
			clientEnd, serverEnd := tlspeer.Pipe()
			watched := tlswatch.New(serverEnd)
			there, here := tls.Client(clientEnd, client), tls.Server(watched, config)
			tlspeer.Handshake(t, there, here)
			talk(t, there, here)
			idle(t, here)
			s, err := watched.State()
			require.NoError(t, err)
			if want := round > 0; s.DidResume != want || here.ConnectionState().DidResume != want {
				t.Errorf("%s: connection %d is resumed: %v, the state says %v", name, round, here.ConnectionState().DidResume, s.DidResume)
			}
			if (s.Leaf == [32]byte{}) != s.DidResume {
				t.Errorf("%s: connection %d has the digest %x", name, round, s.Leaf)
			}
			agree(t, watched, here)
		}
	}
}

// TestUntracked has connections with one half of the tracker only.
func TestUntracked(t *testing.T) {
	clientEnd, serverEnd := tlspeer.Pipe()
	watched := tlswatch.New(serverEnd)
	client, server, _ := tlspeer.Pair(t, clientEnd, watched, tlspeer.ServerConfig(t))
	talk(t, client, server)
	idle(t, server)
	if _, err := watched.State(); !errors.Is(err, tlsrec.Untracked) {
		t.Errorf("without Config: %v", err)
	}
	clientEnd, serverEnd = tlspeer.Pipe()
	client, server, _ = tlspeer.Pair(t, clientEnd, serverEnd, tlswatch.Config(tlspeer.ServerConfig(t)))
	talk(t, client, server)
}

// TestStateMatchesConnection compares what both say of a connection.
func TestStateMatchesConnection(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		s := serve(t, tlspeer.ServerConfig(t))
		idle(t, s.tls)
		state, err := s.watched.Freeze()
		require.NoError(t, err)
		want, got := s.tls.ConnectionState(), moveOn(t, state, s.wire).ConnectionState()
		if got.Version != want.Version || got.CipherSuite != want.CipherSuite || got.NegotiatedProtocol != want.NegotiatedProtocol ||
			got.ServerName != want.ServerName ||
			got.CurveID != want.CurveID || got.DidResume != want.DidResume || got.ECHAccepted != want.ECHAccepted || !got.HandshakeComplete {
			t.Errorf("crypto/tls %+v, after the move %+v", want, got)
		}
	})
}
