package tlsrec_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// overTCP returns a client of crypto/tls and this package's side.
func overTCP(tb testing.TB) (client *tls.Conn, server *tlsrec.Conn) {
	tb.Helper()
	serverEnd, clientEnd := loopback.Pair(tb, "tcp")
	client, shaken, log := tlspeer.Pair(tb, clientEnd, serverEnd, tlspeer.ServerConfig(tb))
	return client, goOn(tb, serverEnd, shaken, log)
}

// inMemory is overTCP in memory.
func inMemory(tb testing.TB) (client *tls.Conn, server *tlsrec.Conn) {
	tb.Helper()
	clientEnd, serverEnd := tlspeer.Pipe()
	client, shaken, log := tlspeer.Pair(tb, clientEnd, serverEnd, tlspeer.ServerConfig(tb))
	return client, goOn(tb, serverEnd, shaken, log)
}

// withRaw has a client that makes its records by hand.
func withRaw(tb testing.TB) (*tlspeer.Raw, *tlsrec.Conn) {
	tb.Helper()
	clientEnd, serverEnd := tlspeer.Pipe()
	client, shaken, log := tlspeer.Pair(tb, clientEnd, serverEnd, tlspeer.ServerConfig(tb))
	return tlspeer.NewRaw(tb, clientEnd, client, log), goOn(tb, serverEnd, shaken, log)
}

// random returns bytes that nobody confuses.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestDataBothWaysAtOnce(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		client, server := overTCP(t)
		text := random(3_000_001)
		var sides sync.WaitGroup
		for _, side := range []net.Conn{client, server} {
			sides.Go(func() {
				for rest := text; len(rest) > 0; {
					n, err := side.Write(rest[:min(len(rest), 1+len(rest)/3)])
					if err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			})
			sides.Go(func() {
				got := make([]byte, len(text))
				if _, err := io.ReadFull(side, got); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%T: got something else, %v", side, err)
				}
			})
		}
		sides.Wait()
	})
}

// TestDataWithKeyUpdates has both sides change their keys between any two pieces.
func TestDataWithKeyUpdates(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		client, server := overTCP(t)
		piece := make([]byte, 100)
		for i := range 60 {
			text := random(100 + i)[:100]
			require.NoError(t, server.UpdateKeys(i%3 == 0)) // the client answers when it reads
			_, err := server.Write(text)
			require.NoError(t, err)
			if _, err := io.ReadFull(client, piece); err != nil || !bytes.Equal(piece, text) {
				t.Fatalf("the client got something else, %v", err)
			}
			_, err = client.Write(text)
			require.NoError(t, err)
			if _, err := io.ReadFull(server, piece); err != nil || !bytes.Equal(piece, text) {
				t.Fatalf("the server got something else, %v", err)
			}
		}
	})
}

func TestSmallReads(t *testing.T) {
	client, server := inMemory(t)
	text := random(40_000)
	_, err := client.Write(text)
	require.NoError(t, err)
	got := make([]byte, len(text))
	for i := range got {
		n, err := server.Read(got[i : i+1])
		if n != 1 || err != nil {
			t.Fatalf("%d, %v after %d", n, err, i)
		}
	}
	if !bytes.Equal(got, text) {
		t.Error("got something else")
	}
	if n, err := server.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v", n, err)
	}
	if n, err := server.Write(nil); n != 0 || err != nil {
		t.Errorf("Write(nil) = %d, %v", n, err)
	}
}

// TestRecordSizes has the server read records of every size around those of its buffers.
func TestRecordSizes(t *testing.T) {
	raw, server := withRaw(t)
	var want bytes.Buffer
	for _, n := range []int{1, 900, 990, 1001, 1002, 1003, 1004, 1019, 1024, 1025, 2048, 16000, 16383, 16384, 1, 16384, 16384, 3} {
		text := random(n)
		want.Write(text)
		raw.Send(data, string(text))
	}
	end(raw)
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes of %d, %v", len(got), want.Len(), err)
	}
}

// halting has a deadline before each byte.
type halting struct {
	net.Conn
	halt bool
}

func (h *halting) Read(p []byte) (int, error) {
	if h.halt = !h.halt; h.halt {
		return 0, os.ErrDeadlineExceeded
	}
	return h.Conn.Read(p[:1])
}

func TestByteByByte(t *testing.T) {
	clientEnd, serverEnd := tlspeer.Pipe()
	client, shaken, log := tlspeer.Pair(t, clientEnd, serverEnd, tlspeer.ServerConfig(t))
	raw, server := tlspeer.NewRaw(t, clientEnd, client, log), goOn(t, &halting{Conn: serverEnd}, shaken, log)
	for i := range 5 {
		write(raw, raw.Seal(data, string(random(i*30+1)), i))
		write(raw, raw.Seal(handshake, tlspeer.KeyUpdate(i%2 == 0), 0))
		raw.Out.Update()
	}
	end(raw)
	total, halts, buf := 0, 0, make([]byte, 500)
	for {
		n, err := server.Read(buf)
		total += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			halts++
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	if total != 1+31+61+91+121 || halts < total {
		t.Errorf("%d bytes with %d halts", total, halts)
	}
}

func TestConnectionState(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		clientEnd, serverEnd := tlspeer.Pipe()
		_, shaken, log := tlspeer.Pair(t, clientEnd, serverEnd, tlspeer.ServerConfig(t))
		want, got := shaken.ConnectionState(), goOn(t, serverEnd, shaken, log).ConnectionState()
		if got.Version != want.Version || got.HandshakeComplete != want.HandshakeComplete || got.CipherSuite != want.CipherSuite ||
			got.NegotiatedProtocol != want.NegotiatedProtocol ||
			got.ServerName != want.ServerName || got.CurveID != want.CurveID || got.DidResume != want.DidResume || got.TLSUnique != nil {
			t.Errorf("crypto/tls %+v, this package %+v", want, got)
		}
	})
}

// TestWriteTimeoutIsFinal compares a Write at a deadline with that of crypto/tls.
func TestWriteTimeoutIsFinal(t *testing.T) {
	for _, ours := range []bool{false, true} {
		serverEnd, clientEnd := loopback.Pair(t, "tcp")
		_, shaken, log := tlspeer.Pair(t, clientEnd, serverEnd, tlspeer.ServerConfig(t))
		var server net.Conn = shaken
		if ours {
			server = goOn(t, serverEnd, shaken, log)
		}
		require.NoError(t, server.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		_, err := server.Write(make([]byte, 64<<20)) // nobody reads
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || timeout.Temporary() { //nolint:staticcheck // net/http asks for it
			t.Errorf("ours %v: %v", ours, err)
		}
		require.NoError(t, server.SetWriteDeadline(time.Time{}))
		if n, again := server.Write([]byte("a")); n != 0 || again == nil || again.Error() != err.Error() {
			t.Errorf("ours %v: after the timeout %d, %v", ours, n, again)
		}
		_ = serverEnd.Close()
	}
}

func TestReadTimeoutIsNot(t *testing.T) {
	client, server := overTCP(t)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := server.Read(make([]byte, 1))
	if e, ok := err.(net.Error); !ok || !e.Timeout() || !e.Temporary() { //nolint:staticcheck // as crypto/tls
		t.Errorf("at the deadline: %v", err)
	}
	require.NoError(t, server.SetReadDeadline(time.Time{}))
	_, err = client.Write([]byte("a"))
	require.NoError(t, err)
	if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("after it: %d, %v", n, err)
	}
}

// TestCloseEndsReadAndWrite has a Close end a Read, and a Write that waits for the client.
func TestCloseEndsReadAndWrite(t *testing.T) {
	_, server := overTCP(t)
	ended := make(chan error, 2)
	go func() {
		_, err := server.Read(make([]byte, 1))
		ended <- err
	}()
	go func() {
		for {
			if _, err := server.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond) // so that they wait; nothing depends on it
	require.NoError(t, server.Close())
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	}
	if err := server.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
	if _, err := server.Write([]byte("a")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("written after it: %v", err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after it: %v", err)
	}
	if _, err := server.State(); !errors.Is(err, tlsrec.Closed) {
		t.Errorf("the state after it: %v", err)
	}
}

// TestCloseForgets has secrets forgotten, also of a connection that is another's by now: its own descriptor was closed before.
func TestCloseForgets(t *testing.T) {
	for _, moved := range []bool{false, true} {
		_, server := overTCP(t)
		if moved {
			_, err := server.Freeze()
			require.NoError(t, err)
			require.NoError(t, server.NetConn().Close())
		}
		if !server.HasSecrets() {
			t.Fatal("there are no secrets")
		}
		if err := server.Close(); (err != nil) != moved {
			t.Errorf("Close: %v", err)
		}
		if server.HasSecrets() {
			t.Errorf("moved: %v: there are secrets after Close", moved)
		}
	}
}

func TestCloseSaysSo(t *testing.T) {
	raw, server := withRaw(t)
	require.NoError(t, server.CloseWrite())
	if _, err := server.Write([]byte("a")); err == nil || !strings.Contains(err.Error(), "protocol is shutdown") {
		t.Errorf("written after CloseWrite: %v", err)
	}
	raw.UpdateKeys(true) // is not answered any more
	raw.Send(data, "still read")
	buf := make([]byte, 20)
	if n, err := server.Read(buf); err != nil || string(buf[:n]) != "still read" {
		t.Errorf("read after CloseWrite: %q, %v", buf[:n], err)
	}
	require.NoError(t, server.CloseWrite())
	require.NoError(t, server.Close())
	all, err := raw.ReceiveAll()
	if err != nil || len(all) != 1 || all[0] != (tlspeer.Record{Kind: alert, Content: "\x01\x00"}) {
		t.Errorf("the client got %q, %v", all, err)
	}
}

// TestUseByMany has many goroutines write, read, and look, with the race detector.
func TestUseByMany(t *testing.T) {
	client, server := overTCP(t)
	var writers, others sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		writers.Go(func() {
			for range 200 {
				if _, err := server.Write(random(700)); err != nil {
					t.Error(err)
				}
			}
		})
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = server.ConnectionState()
					_ = server.UpdateKeys(false)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	others.Go(func() { _, _ = io.Copy(io.Discard, server) })
	others.Go(func() {
		for range 100 {
			if _, err := client.Write(random(300)); err != nil {
				t.Error(err)
			}
		}
	})
	got := make([]byte, 4*200*700)
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	close(stop)
	require.NoError(t, client.Close())
	others.Wait()
	one := random(700)
	for ; len(got) > 0; got = got[700:] {
		if !bytes.Equal(got[:700], one) {
			t.Fatal("two Writes are mixed")
		}
	}
}

// TestCloseNotifyWaitsForFiveSeconds is about a client that does not read: Close ends all the same.
func TestCloseNotifyWaitsForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clientEnd, serverEnd := net.Pipe()
		_, shaken, log := tlspeer.Pair(t, clientEnd, serverEnd, tlspeer.ServerConfig(t))
		server := goOn(t, serverEnd, shaken, log)
		began := time.Now()
		err := server.Close()
		if took := time.Since(began); took != 5*time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v after %v", err, took)
		}
		_ = clientEnd.Close()
	})
}
