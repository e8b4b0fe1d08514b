//go:build unix

package tcpx_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// movingLines answers each line with the group's name before it, and hands its
// connection on with the beginning of a line.
func movingLines(c listen.Conn) {
	lines := bufio.NewReader(tcpx.NewReader(c))
	for line := string(c.State()); ; {
		text, err := lines.ReadString('\n')
		line += text
		switch {
		case errors.Is(err, tcpx.ErrDraining):
			if c.Handover([]byte(line)) == nil {
				return
			}
		case err != nil:
			return
		default:
			fmt.Fprintf(c, "%s: %s", c.Group(), line)
			line = ""
		}
	}
}

// A client keeps its connection, and the line that it is typing, over several
// generations; the last one has no successor and serves it to its end.
func TestReaderMovesConnection(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const last = 5
			var generations []*listener.Listener
			var served []<-chan error
			for g := range last + 1 {
				ln := listener.New(loopback.Listen(t, network), listener.Options{Group: fmt.Sprint(g), HandoverKey: "tcp"})
				generations = append(generations, ln)
				served = append(served, serve(ln, movingLines))
			}
			address := generations[0].Addr()
			client := mustDial(t, func() (net.Conn, error) { return net.Dial(network, address.String()) })
			limit(t, client)
			for g, ln := range generations {
				wantEcho(t, client, fmt.Sprint(g))
				if g%2 == 0 {
					io.WriteString(client, "hel")
				}
				if g < last {
					ln.MoveIdle(&succession.Heir{Next: generations[g+1]})
				}
				ln.StopAccepting()
				if g < last {
					wantClosed(t, served[g]) // it has nothing left
				}
				if g%2 == 0 {
					io.WriteString(client, "lo\n")
					wantLine(t, client, fmt.Sprintf("%d: hello\n", min(g+1, last)))
				}
			}
			wantEcho(t, client, fmt.Sprint(last))
			client.Close()
			wantClosed(t, served[last])
		})
	}
}

func wantLine(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("answer %q, %v, want %q", got, err, want)
	}
}

// TestReaderMovesAfterResume has a connection stay over a replacement, since nobody takes it, and its generation serve again:
// when that is replaced another time, the connection moves, while a Read waits and between two.
func TestReaderMovesAfterResume(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			old := listener.New(loopback.Listen(t, network), listener.Options{Group: "old", HandoverKey: "tcp"})
			next := listener.New(loopback.Listen(t, network), listener.Options{Group: "new", HandoverKey: "tcp"})
			servedOld, servedNew := serve(old, movingLines), serve(next, movingLines)
			address := old.Addr()
			client := mustDial(t, func() (net.Conn, error) { return net.Dial(network, address.String()) })
			limit(t, client)
			wantEcho(t, client, "old")
			for range 2 {
				old.StopAccepting()
				wantEcho(t, client, "old")
				if err := old.Resume(loopback.Listen(t, network)); err != nil {
					t.Fatal(err)
				}
				wantEcho(t, client, "old")
			}
			io.WriteString(client, "hel")
			old.MoveIdle(&succession.Heir{Next: next})
			old.StopAccepting()
			wantClosed(t, servedOld)
			io.WriteString(client, "lo\n")
			wantLine(t, client, "new: hello\n")
			client.Close()
			next.StopAccepting()
			wantClosed(t, servedNew)
		})
	}
}

// layer is a listener that others put around gozd's.
type layer struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l layer) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// TestLayers has connections move through layers, and those that cannot move, or be found, told that their generation drains.
func TestLayers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wrap  func(net.Conn) net.Conn
		moves bool
	}{
		{"embedding", func(c net.Conn) net.Conn { return &struct{ net.Conn }{c} }, true},
		{"reading ahead", func(c net.Conn) net.Conn { return ahead{c, bufio.NewReader(c)} }, true},
		{"hidden", func(c net.Conn) net.Conn { return struct{ nameless }{c} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "old", HandoverKey: "tcp"})
			next := listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "new", HandoverKey: "tcp"})
			serve(next, movingLines)
			told := make(chan struct{}, 1)
			serve(layer{old, tt.wrap}, func(c listen.Conn) {
				go func() {
					<-c.Draining()
					told <- struct{}{}
				}()
				movingLines(c)
			})
			client := mustDial(t, func() (net.Conn, error) { return net.Dial("tcp", old.Addr().String()) })
			limit(t, client)
			wantEcho(t, client, "old")
			old.MoveIdle(&succession.Heir{Next: next})
			old.StopAccepting()
			<-told
			if tt.moves {
				<-drained(t, old)
				wantEcho(t, client, "new")
				client.Close()
				<-drained(t, next)
				return
			}
			wantEcho(t, client, "old")
			client.Close()
			<-drained(t, old)
			next.Close()
		})
	}
}

func drained(t *testing.T, ln *listener.Listener) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	go func() {
		ln.Drain(t.Context())
		close(done)
	}()
	return done
}

type nameless interface{ net.Conn }

// ahead reads more than it is asked for.
type ahead struct {
	net.Conn
	r *bufio.Reader
}

func (a ahead) Read(b []byte) (int, error) { return a.r.Read(b) }
