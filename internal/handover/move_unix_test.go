//go:build unix

package handover_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
)

func TestSenderLearnsTheGroups(t *testing.T) {
	s := connect(t, receiver(t, newShelf(t).take))
	if !s.Takes("web") || s.Takes("other") || s.Takes("") {
		t.Errorf("Takes(web) = %v, Takes(other) = %v, want true, false", s.Takes("web"), s.Takes("other"))
	}
	s.Close()
	if s.Takes("web") {
		t.Error("Takes after Close, want false")
	}
}

// What the client sends before, during and after is seen once, in order: the
// beginning by the old owner, the rest by the new one.
func TestMoveUnderTraffic(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const words, first = 20_000, 1000
			server, client := pair(t, network)
			got := make(chan []byte, 1)
			s := connect(t, receiver(t, func(_ string, c net.Conn, _ []byte) error {
				go func() {
					defer c.Close()
					b, _ := io.ReadAll(c)
					io.WriteString(c, "got it")
					got <- b
				}()
				return nil
			}))
			var want []byte
			for i := range words {
				want = binary.BigEndian.AppendUint32(want, uint32(i))
			}
			begun := make(chan struct{})
			go func() {
				defer client.(interface{ CloseWrite() error }).CloseWrite()
				for i := 0; i < len(want); i += 4 {
					if i == 4*first {
						close(begun)
					}
					client.Write(want[i : i+4])
				}
			}()
			before := make([]byte, 4*first)
			if _, err := io.ReadFull(server, before); err != nil {
				t.Fatal(err)
			}
			<-begun
			if err := s.Move("web", nil, socket(t, server)); err != nil {
				t.Fatalf("Move = %v", err)
			}
			server.Close()
			if all := append(before, within(t, got, "the new owner")...); !bytes.Equal(all, want) {
				t.Errorf("%d bytes arrived, want the %d that were sent", len(all), len(want))
			}
			if answer, err := io.ReadAll(client); string(answer) != "got it" || err != nil {
				t.Errorf("the client reads %q, %v, want the new owner's answer", answer, err)
			}
		})
	}
}

func TestMoveWithState(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, size := range []int{0, 1, handover.MaxState} {
			t.Run(fmt.Sprintf("%s %d bytes", network, size), func(t *testing.T) {
				got := newShelf(t)
				s := connect(t, receiver(t, got.take))
				server, client := pair(t, network)
				state := bytes.Repeat([]byte("s"), size)
				if err := s.Move("web", state, socket(t, server)); err != nil {
					t.Fatalf("Move = %v", err)
				}
				server.Close()
				moved := got.only(t)
				if moved.key != "web" || !bytes.Equal(moved.state, state) {
					t.Errorf("key %q and %d bytes of state arrived, want web and %d", moved.key, len(moved.state), size)
				}
				if got, want := moved.conn.RemoteAddr().String(), client.LocalAddr().String(); got != want {
					t.Errorf("RemoteAddr = %q, want %q", got, want)
				}
				wantUsable(t, moved.conn, client)
			})
		}
	}
}

func TestMoveTooLong(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	server, client := pair(t, "tcp")
	for name, err := range map[string]error{
		"state": s.Move("web", make([]byte, handover.MaxState+1), socket(t, server)),
		"key":   s.Move(strings.Repeat("g", 256), nil, socket(t, server)),
	} {
		if !errors.Is(err, handover.ErrTooLong) {
			t.Errorf("%s: Move = %v, want that it is too long", name, err)
		}
	}
	wantUsable(t, server, client)
	if err := s.Move("web", nil, socket(t, server)); err != nil { // nor is the channel harmed
		t.Fatalf("Move = %v", err)
	}
	wantUsable(t, got.only(t).conn, client)
}

func TestMoveOfAClosedConnection(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	server, _ := pair(t, "tcp")
	server.Close()
	if err := s.Move("web", nil, socket(t, server)); err == nil {
		t.Error("Move = nil, want an error")
	}
	again, client := pair(t, "tcp")
	if err := s.Move("web", nil, socket(t, again)); err != nil {
		t.Fatalf("Move of another = %v", err)
	}
	wantUsable(t, got.only(t).conn, client)
}

func TestRefusalLeavesTheConnection(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		s := connect(t, receiver(t, func(string, net.Conn, []byte) error { return errors.New("no room") }))
		server, client := pair(t, network)
		io.WriteString(client, "before ")
		for range 3 {
			err := s.Move("web", []byte("state"), socket(t, server))
			if !errors.Is(err, handover.ErrRefused) || !strings.Contains(err.Error(), "no room") {
				t.Errorf("%s: Move = %v, want ErrRefused and the reason", network, err)
			}
		}
		before := make([]byte, len("before "))
		if _, err := io.ReadFull(server, before); err != nil {
			t.Errorf("%s: what had been sent before: %v", network, err)
		}
		wantUsable(t, server, client)
	}
}

// A connection whose client has reset it has no address any more, and a handler
// that asks for it would crash.
func TestResetConnectionIsRefused(t *testing.T) {
	got := newShelf(t)
	s := connect(t, receiver(t, got.take))
	server, client := pair(t, "tcp")
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the server reads %v, want a reset", err)
	}
	if err := s.Move("web", []byte("state"), socket(t, server)); !errors.Is(err, handover.ErrRefused) {
		t.Errorf("Move = %v, want ErrRefused", err)
	}
}

// moves starts the Moves of n connections, and returns their sockets and a channel
// of results.
func moves(t *testing.T, s *handover.Sender, n int, state func(i int) []byte) (servers, clients []net.Conn, results <-chan error) {
	t.Helper()
	errs := make(chan error, n)
	for i := range n {
		server, client := pair(t, "unix")
		servers, clients = append(servers, server), append(clients, client)
		go func() { errs <- s.Move("web", state(i), socket(t, server)) }()
	}
	return servers, clients, errs
}
