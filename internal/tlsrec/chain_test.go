package tlsrec_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// successor freezes a connection and returns the one that goes on.
func successor(tb testing.TB, c *tlsrec.Conn) *tlsrec.Conn {
	tb.Helper()
	s, err := c.Freeze()
	require.NoError(tb, err)
	b, err := s.Append(make([]byte, 0, tlsrec.MaxStateLen))
	require.NoError(tb, err)
	there, err := tlsrec.ParseState(b)
	require.NoError(tb, err)
	next, err := tlsrec.Server(c.NetConn(), there)
	require.NoError(tb, err)
	return next
}

// asClient is a client's side that can change its keys.
func asClient(tb testing.TB, conn net.Conn, client *tls.Conn, log *tlspeer.Log) *tlsrec.Conn {
	tb.Helper()
	suite := client.ConnectionState().CipherSuite
	s, err := tlsrec.NewState(tlsrec.State{Suite: suite, HandshakeAt: time.Now()},
		log.Half(tb, suite, tlspeer.ServerSecret), log.Half(tb, suite, tlspeer.ClientSecret))
	require.NoError(tb, err)
	c, err := tlsrec.Server(conn, s)
	require.NoError(tb, err)
	return c
}

// TestChain moves a connection forty times, with KeyUpdates of both sides at every place between two requests, and looks at what the server
// wrote in all.
func TestChain(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		serverEnd, clientEnd := loopback.Pair(t, "tcp")
		wire := &tlspeer.Wire{Conn: serverEnd}
		shakenClient, shaken, log := tlspeer.Pair(t, clientEnd, wire, tlspeer.ServerConfig(t))
		client, server := asClient(t, clientEnd, shakenClient, log), goOn(t, wire, shaken, log)
		buf := make([]byte, 20_000)
		for i := range 40 {
			if i&1 != 0 {
				require.NoError(t, client.UpdateKeys(i&2 != 0))
			}
			text := random(1 + i*450)
			_, err := client.Write(text)
			require.NoError(t, err)
			_, err = io.ReadFull(server, buf[:len(text)])
			require.NoError(t, err)
			if i&4 != 0 {
				require.NoError(t, server.UpdateKeys(i&8 != 0))
			}
			_, err = server.Write(buf[:len(text)])
			require.NoError(t, err)
			if i&16 != 0 {
				require.NoError(t, server.UpdateKeys(false))
			}
			got := make([]byte, len(text))
			if _, err = io.ReadFull(client, got); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("request %d: another answer, %v", i, err)
			}
			if i&12 == 12 { // the client has answered; the server reads that
				_ = server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if _, err := server.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
				_ = server.SetReadDeadline(time.Time{})
			}
			before := server
			server = successor(t, server)
			if server.ConnectionState().ServerName != before.ConnectionState().ServerName {
				t.Error("the name of the server is lost")
			}
		}
		require.NoError(t, server.Close())
		numbers := tlspeer.Numbers(t, wire.Written(), shaken.ConnectionState().CipherSuite, log.Secret(tlspeer.ServerSecret), 200)
		if len(numbers) < 80 {
			t.Errorf("only %d records on the wire", len(numbers))
		}
	})
}

// TestFrozenIsSilent does with a frozen connection whatever one can, while another one goes on: nothing of the first gets out.
func TestFrozenIsSilent(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		serverEnd, clientEnd := loopback.Pair(t, "tcp")
		wire := &tlspeer.Wire{Conn: serverEnd}
		shakenClient, shaken, log := tlspeer.Pair(t, clientEnd, wire, tlspeer.ServerConfig(t))
		client, old := asClient(t, clientEnd, shakenClient, log), goOn(t, wire, shaken, log)
		next := successor(t, old)
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				for range 100 {
					if _, err := old.Write([]byte("twice")); !errors.Is(err, tlsrec.Frozen) {
						t.Errorf("Write: %v", err)
					}
					if _, err := old.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("Read: %v", err)
					}
					if err := old.UpdateKeys(true); !errors.Is(err, tlsrec.Frozen) {
						t.Errorf("UpdateKeys: %v", err)
					}
					if err := old.CloseWrite(); !errors.Is(err, tlsrec.Frozen) {
						t.Errorf("CloseWrite: %v", err)
					}
					if _, err := old.Freeze(); err == nil { // or another of these is at it
						t.Error("frozen twice")
					}
				}
			})
		}
		users.Go(func() {
			for range 300 {
				if _, err := next.Write([]byte("once")); err != nil {
					t.Error(err)
				}
			}
		})
		users.Wait()
		got := make([]byte, 1200)
		if _, err := io.ReadFull(client, got); err != nil || string(got) != strings.Repeat("once", 300) {
			t.Errorf("the client got something else, %v", err)
		}
		written := len(wire.Written())
		require.NoError(t, old.Close()) // closes the descriptor, here that of both
		if len(wire.Written()) != written {
			t.Error("Close has written")
		}
		tlspeer.Numbers(t, wire.Written(), shaken.ConnectionState().CipherSuite, log.Secret(tlspeer.ServerSecret), 400)
	})
}

// TestNumbersFindsTwice is a test of the test: a state that is used twice is found.
func TestNumbersFindsTwice(t *testing.T) {
	clientEnd, serverEnd := tlspeer.Pipe()
	wire := &tlspeer.Wire{Conn: serverEnd}
	_, shaken, log := tlspeer.Pair(t, clientEnd, wire, tlspeer.ServerConfig(t))
	one, two := goOn(t, wire, shaken, log), goOn(t, wire, shaken, log)
	_, _ = one.Write([]byte("a"))
	_, _ = two.Write([]byte("b"))
	found := new(failure)
	var looked sync.WaitGroup
	looked.Go(func() { // Fatalf ends the goroutine
		tlspeer.Numbers(found, wire.Written(), shaken.ConnectionState().CipherSuite, log.Secret(tlspeer.ServerSecret), 10)
	})
	looked.Wait()
	if !found.failed {
		t.Error("one number under one key, twice, and nobody says so")
	}
}

// failure is a testing.TB that only fails.
type failure struct {
	testing.TB
	failed bool
}

func (f *failure) Helper() {}

func (f *failure) Fatalf(string, ...any) {
	f.failed = true
	runtime.Goexit()
}

// TestThaw goes on after a move that was refused.
func TestThaw(t *testing.T) {
	client, server := inMemory(t)
	s, err := server.Freeze()
	require.NoError(t, err)
	_, err = client.Write([]byte("meanwhile"))
	require.NoError(t, err)
	if _, err := server.Write([]byte("a")); !errors.Is(err, tlsrec.Frozen) {
		t.Errorf("Write: %v", err)
	}
	s.Clear()
	server.Thaw()
	server.Thaw()
	buf := make([]byte, 20)
	if n, err := server.Read(buf); err != nil || string(buf[:n]) != "meanwhile" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	_, err = server.Write([]byte("answer"))
	require.NoError(t, err)
	if n, err := client.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if _, err := server.Freeze(); err != nil {
		t.Errorf("frozen again: %v", err)
	}
}

// TestReasonsToStay has each reason why a connection of this package does not move.
func TestReasonsToStay(t *testing.T) {
	buf := make([]byte, 100)
	for _, test := range []struct {
		name string
		want tlsrec.Reason
		do   func(raw *tlspeer.Raw, server *tlsrec.Conn)
	}{
		{"nothing", "", func(*tlspeer.Raw, *tlsrec.Conn) {}},
		{"half read", tlsrec.Unread, func(raw *tlspeer.Raw, server *tlsrec.Conn) {
			raw.Send(data, "abc")
			server.Read(buf[:1])
		}},
		{"two records, one read", tlsrec.Unread, func(raw *tlspeer.Raw, server *tlsrec.Conn) {
			raw.Send(data, "abc")
			raw.Send(data, "abc")
			server.Read(buf)
		}},
		{"not looked at", "", func(raw *tlspeer.Raw, _ *tlsrec.Conn) { raw.Send(data, "abc") }}, // it is the kernel's yet
		{"a piece of a record", tlsrec.Busy, func(raw *tlspeer.Raw, server *tlsrec.Conn) {
			raw.Send(data, "abc")
			write(raw, raw.Seal(data, "abc", 0)[:4])
			server.Read(buf)
		}},
		{"a piece of a KeyUpdate", tlsrec.Busy, func(raw *tlspeer.Raw, server *tlsrec.Conn) {
			raw.Send(handshake, "\x18")
			atDeadline(server)
		}},
		{"a KeyUpdate", "", func(raw *tlspeer.Raw, server *tlsrec.Conn) {
			raw.UpdateKeys(true)
			atDeadline(server)
		}},
		{"close_notify", tlsrec.Closed, func(raw *tlspeer.Raw, server *tlsrec.Conn) {
			raw.Send(alert, "\x01\x00")
			server.Read(buf)
		}},
		{"refused", tlsrec.Closed, func(raw *tlspeer.Raw, server *tlsrec.Conn) {
			raw.Send(99, "abc")
			server.Read(buf)
		}},
		{"no writing", tlsrec.Closed, func(_ *tlspeer.Raw, server *tlsrec.Conn) { server.CloseWrite() }},
		{"closed", tlsrec.Closed, func(_ *tlspeer.Raw, server *tlsrec.Conn) { server.Close() }},
		{"frozen", tlsrec.Frozen, func(_ *tlspeer.Raw, server *tlsrec.Conn) { _, _ = server.Freeze() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw, server := withRaw(t)
			test.do(raw, server)
			s, err := server.State()
			if test.want == "" {
				require.NoError(t, err)
				s.Clear()
				return
			}
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if _, err := server.Freeze(); !errors.Is(err, test.want) {
				t.Errorf("Freeze: %v, want %v", err, test.want)
			}
		})
	}
}

// atDeadline reads what is there, and no data.
func atDeadline(server *tlsrec.Conn) {
	server.SetReadDeadline(time.Unix(1, 0))
	server.Read(make([]byte, 1))
	server.SetReadDeadline(time.Time{})
}

func TestReadingStays(t *testing.T) {
	_, server := inMemory(t)
	ended := make(chan struct{})
	var stop atomic.Bool
	go func() {
		defer close(ended)
		for !stop.Load() { // it is frozen for a moment where State comes first
			server.Read(make([]byte, 1))
		}
	}()
	require.Eventually(t, "reading", func() bool {
		_, err := server.State()
		return errors.Is(err, tlsrec.Reading)
	})
	stop.Store(true)
	server.SetReadDeadline(time.Unix(1, 0))
	<-ended
	if _, err := server.State(); err != nil {
		t.Errorf("after the Read: %v", err)
	}
}

func TestWritingStays(t *testing.T) {
	_, server := overTCP(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for err := error(tlsrec.Frozen); errors.Is(err, tlsrec.Frozen); { // as it is for a moment where State comes first
			_, err = server.Write(make([]byte, 64<<20))
		}
	}()
	require.Eventually(t, "busy", func() bool {
		_, err := server.State()
		return errors.Is(err, tlsrec.Busy)
	})
	server.Close()
	<-ended
}
