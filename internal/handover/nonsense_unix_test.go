//go:build unix

package handover_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

func TestGreetingThatIsNone(t *testing.T) {
	tests := []struct {
		name string
		sent []byte
	}{
		{"nothing", nil},
		{"half a header", []byte{handover.KindKeys, 0}},
		{"another frame", handover.AppendFrame(nil, handover.KindTaken, 1, nil)},
		{"not JSON", handover.AppendFrame(nil, handover.KindKeys, 0, []byte("web"))},
		{"a number", handover.AppendFrame(nil, handover.KindKeys, 0, []byte("1"))},
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := channel(t)
			theirs.Write(tt.sent)
			theirs.Close()
			if s, err := handover.NewSender(ours); err == nil {
				s.Close()
				t.Error("NewSender = nil, want an error")
			}
			if err := ours.Close(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("the channel was not taken over: Close = %v", err)
			}
		})
	}
}

func TestChannelThatIsNone(t *testing.T) {
	file := func() *os.File {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if s, err := handover.NewSender(file()); err == nil {
		s.Close()
		t.Error("NewSender of a file = nil, want an error")
	}
	if err := receiver(t, newShelf(t).take).Add(file()); err == nil {
		t.Error("Add of a file = nil, want an error")
	}
}

// Frames that nobody should send end the channel or are refused, and no more.
func TestReceiverOfNonsense(t *testing.T) {
	conn, err := handover.ConnPayload("web", nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		sent    []byte
		refused bool // answered; else the channel ends
	}{
		{"a connection without a descriptor", handover.AppendFrame(nil, handover.KindConn, 5, conn), true},
		{"a channel without a descriptor", handover.AppendFrame(nil, handover.KindChannel, 5, nil), true},
		{"an answer", handover.AppendFrame(nil, handover.KindTaken, 5, nil), true},
		{"an unknown kind", []byte{99, 0, 0, 0, 0, 0, 0, 0, 0}, false},
		{"a frame that is too long", []byte{handover.KindConn, 0, 0, 0, 0, 255, 255, 255, 255}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := channel(t)
			if err := receiver(t, newShelf(t).take).Add(theirs); err != nil {
				t.Fatal(err)
			}
			f := fileConn(t, ours)
			f.next(t) // the greeting
			if _, err := f.Write(tt.sent); err != nil {
				t.Fatal(err)
			}
			if tt.refused {
				if kind, seq := f.next(t); kind != handover.KindRefused || seq != 5 {
					t.Errorf("answer of kind %d to %d, want a refusal of 5", kind, seq)
				}
				return
			}
			if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("Read = %d, %v, want the end of the channel", n, err)
			}
		})
	}
}

// fileConn takes over f.
func fileConn(tb testing.TB, f *os.File) *fakeReceiver {
	tb.Helper()
	c, err := net.FileConn(f)
	if err != nil {
		tb.Fatal(err)
	}
	f.Close()
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return &fakeReceiver{c}
}

// A descriptor that is no socket is refused, and the channel goes on.
func TestDescriptorThatIsNoSocket(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Move("web", nil, f); !errors.Is(err, handover.ErrRefused) {
		t.Errorf("Move of a file = %v, want ErrRefused", err)
	}
	if err := s.MoveChannel(f); !errors.Is(err, handover.ErrRefused) {
		t.Errorf("MoveChannel of a file = %v, want ErrRefused", err)
	}
	server, _ := pair(t, "tcp")
	if err := s.Move("web", nil, socket(t, server)); err != nil {
		t.Errorf("Move = %v", err)
	}
}

// FuzzFrame sends to a receiver, and to a sender that has been greeted, what
// another process should not.
func FuzzFrame(f *testing.F) {
	conn, err := handover.ConnPayload("web", []byte("state"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	for kind := range byte(7) {
		f.Add(handover.AppendFrame(nil, kind, 1, nil))
		f.Add(handover.AppendFrame(nil, kind, 1, conn))
	}
	f.Add(handover.AppendFrame(handover.AppendFrame(nil, handover.KindTaken, 1, nil), handover.KindKeys, 0, []byte(`["x"]`)))
	f.Add([]byte{handover.KindConn, 0, 0, 0, 1, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) >= handover.HeaderLen {
			if _, _, size, err := handover.ParseHeader([handover.HeaderLen]byte(sent)); err == nil && size > handover.MaxPayload {
				t.Errorf("a payload of %d bytes would be read, want at most %d", size, handover.MaxPayload)
			}
		}
		var both sync.WaitGroup
		both.Go(func() { toReceiver(t, sent) })
		both.Go(func() { toSender(t, sent) })
		both.Wait()
	})
}

func toReceiver(t *testing.T, sent []byte) {
	t.Helper()
	ours, theirs, err := handover.Pair()
	if err != nil {
		t.Error(err)
		return
	}
	defer ours.Close()
	r, err := handover.NewReceiver(nil, func(string, net.Conn, []byte) (func(error), error) {
		t.Error("a connection came without a descriptor")
		return nil, errors.New("no")
	})
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if err := r.Add(theirs); err != nil {
		t.Error(err)
		return
	}
	exchange(t, ours, sent)
}

func toSender(t *testing.T, sent []byte) {
	t.Helper()
	ours, theirs, err := handover.Pair()
	if err != nil {
		t.Error(err)
		return
	}
	defer theirs.Close()
	theirs.Write(handover.AppendFrame(nil, handover.KindKeys, 0, []byte("[]")))
	s, err := handover.NewSender(ours)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	exchange(t, theirs, sent)
}

// exchange sends all, and reads until the other side has closed the channel.
func exchange(t *testing.T, f *os.File, sent []byte) {
	t.Helper()
	c, err := net.FileConn(f)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() {
		c.Write(sent)
		c.(*net.UnixConn).CloseWrite()
	}()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the channel does not end")
	}
}
