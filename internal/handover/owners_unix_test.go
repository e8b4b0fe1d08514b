//go:build unix

package handover_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

// A connection is used when the answer is in the channel, and not before.
func TestTakenIsUsedAfterTheAnswer(t *testing.T) {
	ours, theirs := channel(t)
	f := fileConn(t, ours)
	answer := make(chan []byte, 1)
	r, err := handover.NewReceiver([]string{"web"}, func(_ string, c net.Conn, _ []byte) (func(error), error) {
		return func(error) {
			defer c.Close()
			f.SetReadDeadline(time.Now().Add(5 * time.Second))
			b := make([]byte, handover.HeaderLen)
			io.ReadFull(f, b) // nothing comes if it is not there yet: this goroutine writes it
			answer <- b
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := r.Add(theirs); err != nil {
		t.Fatal(err)
	}
	f.next(t) // the greeting
	server, _ := pair(t, "tcp")
	f.give(t, server, 7)
	if got, want := within(t, answer, "the use"), handover.AppendFrame(nil, handover.KindTaken, 7, nil); !bytes.Equal(got, want) {
		t.Errorf("when the connection is used %v is in the channel, want %v", got, want)
	}
}

// give sends a connection as a sender does.
func (f *fakeReceiver) give(t *testing.T, c net.Conn, seq uint32) {
	t.Helper()
	payload, err := handover.ConnPayload("web", nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rights := syscall.UnixRights(int(file.Fd()))
	if _, _, err := f.Conn.(*net.UnixConn).WriteMsgUnix(handover.AppendFrame(nil, handover.KindConn, seq, payload), rights, nil); err != nil {
		t.Fatal(err)
	}
}

// An answer that cannot be given is said to whoever has taken the connection.
func TestTakenThatCannotBeSaid(t *testing.T) {
	ours, theirs := channel(t)
	f := fileConn(t, ours)
	release, used := make(chan struct{}), make(chan error, 1)
	r, err := handover.NewReceiver([]string{"web"}, func(_ string, c net.Conn, _ []byte) (func(error), error) {
		<-release
		return func(err error) {
			used <- err
			c.Close()
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := r.Add(theirs); err != nil {
		t.Fatal(err)
	}
	f.next(t)
	server, _ := pair(t, "tcp")
	f.give(t, server, 1)
	f.Close()
	close(release)
	if err := within(t, used, "the use"); err == nil {
		t.Error("answered(nil), and the sender has gone")
	}
}

// Only where the successor has said no, or the channel has ended between two frames, is a connection certainly untaken.
func TestWhoKnowsThatNothingIsTaken(t *testing.T) {
	taken := handover.AppendFrame(nil, handover.KindTaken, 1, nil)
	for _, tt := range []struct {
		name    string
		say     []byte
		untaken bool
		want    error
	}{
		{"refused", handover.AppendFrame(nil, handover.KindRefused, 1, []byte("no")), true, handover.ErrRefused},
		{"the end", nil, true, handover.ErrGone},
		{"an answer to another, and the end", handover.AppendFrame(nil, handover.KindTaken, 9, nil), true, handover.ErrGone},
		{"half of an answer", taken[:4], false, handover.ErrUncertain},
		{"half of a refusal", handover.AppendFrame(nil, handover.KindRefused, 1, []byte("no"))[:10], false, handover.ErrUncertain},
		{"nonsense", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), false, handover.ErrUncertain},
		{"a frame that is no answer", handover.AppendFrame(nil, handover.KindConn, 1, nil), false, handover.ErrUncertain},
		{"keys that are none", handover.AppendFrame(nil, handover.KindKeys, 1, []byte("{")), false, handover.ErrUncertain},
	} {
		for _, read := range []bool{true, false} { // whether the frame was read: the kernel tells the one end from the other
			t.Run(fmt.Sprintf("%s, read %v", tt.name, read), func(t *testing.T) {
				s, r := fake(t)
				servers, clients, results := moves(t, s, 1, name)
				if read {
					r.next(t)
				} else {
					one := make([]byte, 1)
					if _, err := io.ReadFull(r, one); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := r.Write(tt.say); err != nil {
					t.Fatal(err)
				}
				r.Close()
				err := within(t, results, "Move")
				if !errors.Is(err, tt.want) {
					t.Errorf("Move = %v, want %v", err, tt.want)
				}
				var knows interface{ Untaken() bool }
				if got := errors.As(err, &knows) && knows.Untaken(); got != tt.untaken {
					t.Errorf("%v: untaken = %v, want %v", err, got, tt.untaken)
				}
				wantUsable(t, servers[0], clients[0])
			})
		}
	}
	s, _ := fake(t)
	server, _ := pair(t, "tcp")
	conn := socket(t, server)
	tooLong := s.Move("web", make([]byte, handover.MaxState+1), conn)
	server.Close()
	for what, err := range map[string]error{"too long": tooLong, "closed": s.Move("web", nil, conn)} {
		var knows interface{ Untaken() bool }
		if !errors.As(err, &knows) || !knows.Untaken() {
			t.Errorf("%s: %v does not say that nothing was sent", what, err)
		}
	}
}

// The state of what a receiver refuses does not stay in its memory.
func TestRefusedStateIsCleared(t *testing.T) {
	var seen []byte
	s := connect(t, receiver(t, func(_ string, _ net.Conn, state []byte) error {
		seen = state
		return errors.New("no")
	}))
	server, _ := pair(t, "tcp")
	state := []byte("secret")
	if err := s.Move("web", state, socket(t, server)); !errors.Is(err, handover.ErrRefused) {
		t.Fatalf("Move = %v, want ErrRefused", err)
	}
	if !bytes.Equal(seen, make([]byte, len(state))) {
		t.Errorf("after the refusal the state is %q, want it cleared", seen)
	}
}
