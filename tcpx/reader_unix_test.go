//go:build unix

package tcpx_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

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
			var generations []*listen.Listener
			var served []<-chan error
			for g := range last + 1 {
				ln := listen.New(loopback.Listen(t, network), listen.Options{Group: fmt.Sprint(g)})
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
