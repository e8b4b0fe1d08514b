package tlswatch_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

const (
	data      = tlsrec.TypeApplicationData
	handshake = tlsrec.TypeHandshake
	alert     = tlsrec.TypeAlert
)

// served is a connection of crypto/tls with the tracker below it, and a client that makes its records by hand.
type served struct {
	raw     *tlspeer.Raw
	wire    *tlspeer.Wire
	watched *tlswatch.Conn
	tls     *tls.Conn
	log     *tlspeer.Log
}

func serve(tb testing.TB, config *tls.Config) served {
	tb.Helper()
	clientEnd, serverEnd := tlspeer.Pipe()
	s := served{wire: &tlspeer.Wire{Conn: serverEnd}}
	s.watched = tlswatch.New(s.wire)
	var client *tls.Conn
	client, s.tls, s.log = tlspeer.Pair(tb, clientEnd, s.watched, tlswatch.Config(config))
	s.raw = tlspeer.NewRaw(tb, clientEnd, client, s.log)
	return s
}

// idle has the server wait for data up to a deadline.
func idle(tb testing.TB, c net.Conn) {
	tb.Helper()
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		tb.Fatalf("Read = %d, %v", n, err)
	}
	_ = c.SetReadDeadline(time.Time{})
}

// ask has the client send something that the server answers with the same.
func ask(tb testing.TB, raw *tlspeer.Raw, server net.Conn, text string) {
	tb.Helper()
	raw.Send(data, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(server, got); err != nil || string(got) != text {
		tb.Fatalf("the server got %q, %v", got, err)
	}
	_, err := server.Write(got)
	require.NoError(tb, err)
	for answer := ""; answer != text; {
		record, err := raw.Receive()
		if err != nil {
			tb.Fatalf("the answer: %v", err)
		}
		if record.Kind == data {
			answer += record.Content
		}
	}
}

// moveOn takes the state over to a connection of package tlsrec.
func moveOn(tb testing.TB, s *tlsrec.State, conn net.Conn) *tlsrec.Conn {
	tb.Helper()
	b, err := s.Append(make([]byte, 0, tlsrec.MaxStateLen))
	require.NoError(tb, err)
	there, err := tlsrec.ParseState(b)
	require.NoError(tb, err)
	c, err := tlsrec.Server(conn, there)
	require.NoError(tb, err)
	return c
}

func TestSelfTest(t *testing.T) {
	require.NoError(t, tlswatch.SelfTest())
	tlspeer.EachSuite(t, func(t *testing.T) { require.NoError(t, tlswatch.TryMove()) })
}

// steps are what may happen between two requests. Each leaves the connection where it can move.
var steps = map[string]func(tb testing.TB, s served, server net.Conn){
	"nothing":             func(testing.TB, served, net.Conn) {},
	"a request":           func(tb testing.TB, s served, server net.Conn) { ask(tb, s.raw, server, "hello") },
	"one of five bytes":   func(tb testing.TB, s served, server net.Conn) { ask(tb, s.raw, server, "12345") },
	"a large one":         func(tb testing.TB, s served, server net.Conn) { ask(tb, s.raw, server, string(make([]byte, 16000))) },
	"KeyUpdate":           func(_ testing.TB, s served, _ net.Conn) { s.raw.UpdateKeys(false) },
	"KeyUpdate requested": func(_ testing.TB, s served, _ net.Conn) { s.raw.UpdateKeys(true) },
	"CCS":                 func(_ testing.TB, s served, _ net.Conn) { s.raw.Write([]byte("\x14\x03\x03\x00\x01\x01")) },
	"two records at once": func(tb testing.TB, s served, server net.Conn) {
		s.raw.Write(append(s.raw.Seal(data, "ab", 0), s.raw.Seal(data, "cd", 30)...))
		_, err := io.ReadFull(server, make([]byte, 4))
		require.NoError(tb, err)
	},
}

// TestMoveAfterEachStep has every pair of steps before a move, and every one after it, and compares with crypto/tls's own fields.
func TestMoveAfterEachStep(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		for one, first := range steps {
			for two, second := range steps {
				for _, tickets := range []bool{false, true} {
					moveTwice(t, tickets, first, second)
					if t.Failed() {
						t.Fatalf("with %s, %s, tickets %v", one, two, tickets)
					}
				}
			}
		}
	})
}

func moveTwice(t *testing.T, tickets bool, first, second func(testing.TB, served, net.Conn)) {
	t.Helper()
	config := tlspeer.ServerConfig(t)
	config.SessionTicketsDisabled = !tickets // a ticket is the server's first record of data
	s := serve(t, config)
	agree(t, s.watched, s.tls)
	first(t, s, s.tls)
	idle(t, s.tls)
	agree(t, s.watched, s.tls)
	second(t, s, s.tls)
	idle(t, s.tls)
	agree(t, s.watched, s.tls)

	state, err := s.watched.Freeze()
	if err != nil {
		t.Errorf("no move: %v", err)
		return
	}
	there := moveOn(t, state, s.wire)
	require.NoError(t, s.watched.Audit(s.tls))
	second(t, s, there)
	idle(t, there)
	first(t, s, there)
	idle(t, there)
	state, err = there.Freeze()
	require.NoError(t, err)
	last := moveOn(t, state, s.wire)
	ask(t, s.raw, last, "to the last one")
	require.NoError(t, last.CloseWrite())
	require.NoError(t, s.tls.Close())
	all, err := s.raw.ReceiveAll()
	if err != nil || len(all) != 1 || all[0] != (tlspeer.Record{Kind: alert, Content: "\x01\x00"}) {
		t.Errorf("at the end the client got %q, %v", all, err)
	}
	tlspeer.Numbers(t, s.wire.Written(), s.tls.ConnectionState().CipherSuite, s.log.Secret(tlspeer.ServerSecret), 50)
}
