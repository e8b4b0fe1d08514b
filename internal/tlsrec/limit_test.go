package tlsrec_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// late returns a client and a server after so many records in each direction.
func late(tb testing.TB, in, out uint64) (*tlspeer.Raw, *tlsrec.Conn) {
	tb.Helper()
	clientEnd, serverEnd := tlspeer.Pipe()
	client, _, log := tlspeer.Pair(tb, clientEnd, serverEnd, tlspeer.ServerConfig(tb))
	raw := tlspeer.NewRaw(tb, clientEnd, client, log)
	raw.Out.Seq, raw.In.Seq = in, out
	suite := client.ConnectionState().CipherSuite
	s, err := tlsrec.NewState(tlsrec.State{Suite: suite, HandshakeAt: time.Now()}, raw.Out, raw.In)
	require.NoError(tb, err)
	server, err := tlsrec.Server(serverEnd, s)
	require.NoError(tb, err)
	return raw, server
}

// TestNewKeyInTime writes up to the number at which the key changes, and beyond.
func TestNewKeyInTime(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		raw, server := late(t, 0, tlsrec.UpdateAfter-2)
		_, err := server.Write(random(5 * 16384))
		require.NoError(t, err)
		require.NoError(t, server.CloseWrite())
		var kinds []byte
		for {
			record, err := raw.Receive()
			require.NoError(t, err)
			kinds = append(kinds, record.Kind)
			if record.Kind == alert {
				break
			}
		}
		if want := []byte{data, data, handshake, data, data, data, alert}; string(kinds) != string(want) {
			t.Errorf("records of types %v, want %v", kinds, want)
		}
		if raw.In.Seq != 4 {
			t.Errorf("the last record is number %d of its key, want 4", raw.In.Seq)
		}
	})
}

// TestAsksForANewKey has a client send up to that number: it is asked once for a new key, and again under the next one.
func TestAsksForANewKey(t *testing.T) {
	raw, server := late(t, tlsrec.UpdateAfter-2, 0)
	read := func() {
		t.Helper()
		raw.Send(data, "a")
		if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	asked := func() (n int) {
		t.Helper()
		_, err := server.Write([]byte("mark"))
		require.NoError(t, err)
		for {
			record, err := raw.Receive()
			require.NoError(t, err)
			switch record.Content {
			case "mark":
				return n
			case tlspeer.KeyUpdate(true):
				n++
			}
		}
	}
	if read(); asked() != 0 {
		t.Error("asked too early")
	}
	if read(); asked() != 1 {
		t.Error("not asked")
	}
	if read(); asked() != 0 {
		t.Error("asked twice")
	}
	raw.UpdateKeys(false)
	if read(); asked() != 0 {
		t.Error("asked under a new key")
	}
}

// TestLimitEndsConnection is about a client that does not care: no record above the limit is taken, and none is written.
func TestLimitEndsConnection(t *testing.T) {
	raw, server := late(t, tlsrec.MaxRecords-2, 0)
	raw.Send(data, "last")
	buf := make([]byte, 10)
	n, err := server.Read(buf)
	require.NoError(t, err)
	if string(buf[:n]) != "last" {
		t.Errorf("got %q", buf[:n])
	}
	raw.Send(data, "too many")
	if n, err = server.Read(buf); n != 0 || err == nil {
		t.Errorf("Read = %d, %v", n, err)
	}
	if _, err := server.State(); !errors.Is(err, tlsrec.Closed) {
		t.Errorf("the state: %v", err)
	}

	half := raw.Out
	half.Seq = tlsrec.MaxRecords
	if b, err := half.Seal(nil, data, []byte("a")); err == nil || len(b) != 0 {
		t.Errorf("sealed %d bytes above the limit, %v", len(b), err)
	}
	if _, err := tlsrec.NewState(tlsrec.State{Suite: server.ConnectionState().CipherSuite, HandshakeAt: time.Now()}, raw.In, half); !errors.Is(err, tlsrec.KeyLimit) {
		t.Errorf("a state above the limit: %v", err)
	}
}
