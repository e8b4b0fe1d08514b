//go:build unix

package handover_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// roles are what the test binary does when a test runs it again.
var roles = make(map[string]func())

func TestMain(m *testing.M) { reexec.Main(m, roles) }

// within fails the test if c gives nothing for 30 seconds.
func within[T any](tb testing.TB, c <-chan T, what string) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		tb.Fatalf("%s: nothing for 30 seconds", what)
	}
	return v
}

// pair returns both sides of a connection. Both are closed at the end of the
// test.
func pair(tb testing.TB, network string) (server, client net.Conn) {
	tb.Helper()
	server, client = loopback.Pair(tb, network)
	for _, c := range []net.Conn{client, server} { // nothing waits for ever
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			tb.Fatal(err)
		}
	}
	return server, client
}

// socket is what Move wants of a connection.
func socket(tb testing.TB, c net.Conn) syscall.Conn {
	tb.Helper()
	s, ok := c.(syscall.Conn)
	if !ok {
		tb.Fatalf("a %T is no syscall.Conn", c)
	}
	return s
}

// channel is handover.Pair.
func channel(tb testing.TB) (ours, theirs *os.File) {
	tb.Helper()
	ours, theirs, err := handover.Pair()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return ours, theirs
}

// receiver returns a Receiver of the key "web".
func receiver(tb testing.TB, take taker) *handover.Receiver {
	tb.Helper()
	r, err := handover.NewReceiver([]string{"web"}, take.at)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

// taker is a handover.Taker that uses a connection when the answer is there, or never.
type taker func(key string, conn net.Conn, state []byte) error

// at takes at once; that nobody uses it before is TestTakenIsUsedAfterTheAnswer's.
func (take taker) at(key string, conn net.Conn, state []byte) (func(error), error) {
	return func(error) {}, take(key, conn, state)
}

// connect makes a channel to r, and returns its sender.
func connect(tb testing.TB, r *handover.Receiver) *handover.Sender {
	tb.Helper()
	ours, theirs := channel(tb)
	if err := r.Add(theirs); err != nil {
		tb.Fatal(err)
	}
	s, err := handover.NewSender(ours)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// taken is a connection that a shelf got.
type taken struct {
	key   string
	conn  net.Conn
	state []byte
}

// shelf takes connections, and closes them at the end of the test.
type shelf struct {
	mu  sync.Mutex // guards all
	all []taken
}

func newShelf(tb testing.TB) *shelf {
	tb.Helper()
	s := new(shelf)
	tb.Cleanup(func() { s.clear() })
	return s
}

func (s *shelf) take(key string, conn net.Conn, state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, taken{key, conn, state})
	return nil
}

// clear closes what there is, and returns it.
func (s *shelf) clear() []taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	for _, got := range all {
		got.conn.Close()
	}
	return all
}

// only returns the one connection that was taken.
func (s *shelf) only(tb testing.TB) taken {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) != 1 {
		tb.Fatalf("%d connections were taken, want 1", len(s.all))
	}
	return s.all[0]
}

// wantUsable wants bytes to pass both ways between server and client.
func wantUsable(tb testing.TB, server, client net.Conn) {
	tb.Helper()
	for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
		const text = "still there"
		if _, err := io.WriteString(way[0], text); err != nil {
			tb.Errorf("write: %v", err)
		}
		b := make([]byte, len(text))
		if _, err := io.ReadFull(way[1], b); err != nil || string(b) != text {
			tb.Errorf("read %q, %v, want %q", b, err, text)
		}
	}
}

// fakeReceiver is the other end of a channel, in the hands of the test.
type fakeReceiver struct{ net.Conn }

// fake greets and returns a sender, and the other end.
func fake(tb testing.TB) (*handover.Sender, *fakeReceiver) {
	tb.Helper()
	ours, theirs := channel(tb)
	conn, err := net.FileConn(theirs)
	if err != nil {
		tb.Fatal(err)
	}
	theirs.Close()
	tb.Cleanup(func() { conn.Close() })
	f := &fakeReceiver{conn}
	f.say(tb, handover.KindKeys, 0, `["web"]`)
	s, err := handover.NewSender(ours)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s, f
}

func (f *fakeReceiver) say(tb testing.TB, kind byte, seq uint32, payload string) {
	tb.Helper()
	if _, err := f.Write(handover.AppendFrame(nil, kind, seq, []byte(payload))); err != nil {
		tb.Fatal(err)
	}
}

// next reads a frame, and drops the descriptor that comes with it.
func (f *fakeReceiver) next(tb testing.TB) (kind byte, seq uint32) {
	tb.Helper()
	var header [handover.HeaderLen]byte
	if _, err := io.ReadFull(f, header[:]); err != nil {
		tb.Fatal(err)
	}
	kind, seq, size, err := handover.ParseHeader(header)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, f, int64(size)); err != nil {
		tb.Fatal(err)
	}
	return kind, seq
}

// wantErrors wants of every error that it is want, which can be nil.
func wantErrors(tb testing.TB, errs []error, want error) {
	tb.Helper()
	for _, err := range errs {
		if !errors.Is(err, want) {
			tb.Errorf("%v, want %v", err, want)
		}
	}
}

// name is the state by which the connection with this number is known again.
func name(i int) []byte { return fmt.Appendf(nil, "connection %d", i) }
