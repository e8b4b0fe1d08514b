//go:build unix

package httpx_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// lineServer is a program that hijacks connections, and answers each line with its name and how many lines it was before.
type lineServer struct {
	name    string
	refused chan error // what Handover says, if it is not nil
	padding int        // bytes of state that go along in vain
	late    bool       // it writes once more before Handover, when the deadline for that has passed
	serving sync.WaitGroup
}

func (l *lineServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	begun, _ := rw.Peek(rw.Reader.Buffered())
	l.lines(c, slices.Clone(begun))
}

func (l *lineServer) resume(c net.Conn, state []byte) {
	l.serving.Add(1)
	defer l.serving.Done()
	l.lines(c, state[:len(state)-l.padding])
}

// lines serves c, whose next line begins with begun.
func (l *lineServer) lines(c net.Conn, begun []byte) {
	defer c.Close()
	conn, ok := httpx.Hijacked(c)
	if !ok {
		fmt.Fprintln(c, "it does not move")
		return
	}
	br := bufio.NewReader(io.MultiReader(strings.NewReader(string(begun)), tcpx.NewReader(conn)))
	var line []byte
	for {
		part, err := br.ReadBytes('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, tcpx.ErrDraining):
			if l.late {
				conn.SetWriteDeadline(time.Unix(1, 0))
				if n, err := conn.Write([]byte("late")); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
					panic(fmt.Sprint(n, err))
				}
				conn.SetWriteDeadline(time.Time{})
			}
			err := conn.Handover(append(line, make([]byte, l.padding)...))
			if err == nil {
				return
			}
			select {
			case l.refused <- fmt.Errorf("%s: %w", l.name, err):
			default: // under load a part of a record may have come, time and again
			}
		case err != nil:
			return
		default:
			fmt.Fprintf(conn, "%s: %s", l.name, line)
			line = nil
		}
	}
}

// lineGeneration serves l, over TLS if secure.
func lineGeneration(t *testing.T, network string, secure bool, l *lineServer) *generation {
	t.Helper()
	l.refused = make(chan error, 10)
	srv := &httpx.Server{Server: &http.Server{Handler: l}, Resume: l.resume}
	t.Cleanup(l.serving.Wait)
	if secure {
		return secureResuming(t, network, srv, serverTLS)
	}
	return newResuming(t, network, srv, func(ln net.Listener) net.Listener { return ln })
}

// hijacker is a client whose connection is hijacked.
func (g *generation) hijacker(t *testing.T, secure bool) *client1 {
	t.Helper()
	var c *client1
	if secure {
		c = g.secureClient(t, nil)
	} else {
		c = g.client(t)
	}
	c.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	return c
}

// wantReply wants the next line.
func (c *client1) wantReply(t *testing.T, want string) {
	t.Helper()
	if got, err := c.br.ReadString('\n'); err != nil || got != want+"\n" {
		t.Fatalf("line %q, %v, want %q", got, err, want)
	}
}

var hijackedKinds = []struct {
	network string
	secure  bool
}{{"tcp", false}, {"unix", false}, {"tcp", true}, {"unix", true}}

// Hijacked connections go through a line of generations with what they have begun.
func TestHijackedMoves(t *testing.T) {
	for _, tt := range hijackedKinds {
		t.Run(fmt.Sprintf("%s secure %v", tt.network, tt.secure), func(t *testing.T) {
			g := lineGeneration(t, tt.network, tt.secure, &lineServer{name: "0"})
			used, silent := g.hijacker(t, tt.secure), g.hijacker(t, tt.secure)
			used.write("first\n")
			used.wantReply(t, "0: first")
			for i := range 10 {
				used.write("beg")
				name := fmt.Sprint(i + 1)
				next := lineGeneration(t, tt.network, tt.secure, &lineServer{name: name})
				g.replaceBy(t, next)
				g.wantMoved(t, 2)
				used.write("un\nand")
				used.wantReply(t, name+": begun")
				used.write("\n")
				used.wantReply(t, name+": and")
				g = next
			}
			silent.write("at last\n")
			silent.wantReply(t, "10: at last")
		})
	}
}

// A program that reads the connection itself gets all bytes of it: after a move net/http may skip line ends, and this is no HTTP.
func TestHijackedLosesNoLineEnds(t *testing.T) {
	for _, tt := range hijackedKinds {
		t.Run(fmt.Sprintf("%s secure %v", tt.network, tt.secure), func(t *testing.T) {
			first := lineGeneration(t, tt.network, tt.secure, &lineServer{name: "first"})
			echo := &httpx.Server{Server: &http.Server{Handler: status(http.StatusOK)}, Resume: func(c net.Conn, _ []byte) {
				defer c.Close()
				b := make([]byte, 64)
				n, _ := c.Read(b)
				c.Write(b[:n])
			}}
			var second *generation
			if tt.secure {
				second = secureResuming(t, tt.network, echo, serverTLS)
			} else {
				second = newResuming(t, tt.network, echo, func(ln net.Listener) net.Listener { return ln })
			}
			c := first.hijacker(t, tt.secure)
			first.replaceBy(t, second)
			first.wantMoved(t, 1)
			c.write("\r\n\r\nhello")
			got := make([]byte, 9)
			if n, err := io.ReadFull(c.br, got); err != nil || string(got) != "\r\n\r\nhello" {
				t.Errorf("%q comes back, %v", got[:n], err)
			}
		})
	}
}

// Clients write without a pause while generation follows generation: each line is answered once, and in order.
func TestHijackedMovesUnderLoad(t *testing.T) {
	for _, tt := range hijackedKinds {
		t.Run(fmt.Sprintf("%s secure %v", tt.network, tt.secure), func(t *testing.T) {
			const clients, moves, ahead = 4, 20, 20
			g := lineGeneration(t, tt.network, tt.secure, &lineServer{name: "0"})
			stop := make(chan struct{})
			var talking sync.WaitGroup
			for range clients {
				c := g.hijacker(t, tt.secure)
				sent := make(chan int, ahead)
				talking.Go(func() {
					defer close(sent)
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						case sent <- n:
						}
						c.SetDeadline(time.Now().Add(exchangeLimit))
						if _, err := fmt.Fprintf(c, "%d %s\n", n, strings.Repeat("x", n*7919%3500)); err != nil {
							t.Error(err)
							return
						}
					}
				})
				talking.Go(func() {
					for n := range sent {
						got, err := c.br.ReadString('\n')
						if _, line, _ := strings.Cut(got, ": "); err != nil || line != fmt.Sprintf("%d %s\n", n, strings.Repeat("x", n*7919%3500)) {
							t.Errorf("line %d: %.40q, %v", n, got, err)
							c.Close()
							return
						}
					}
				})
			}
			for i := range moves {
				next := lineGeneration(t, tt.network, tt.secure, &lineServer{name: fmt.Sprint(i + 1)})
				g.replaceBy(t, next)
				g.wantMoved(t, clients)
				g = next
			}
			close(stop)
			talking.Wait()
		})
	}
}

// What nobody takes stays the program's, with all that has been read.
func TestHijackedStays(t *testing.T) {
	for _, tt := range hijackedKinds {
		t.Run(fmt.Sprintf("%s secure %v", tt.network, tt.secure), func(t *testing.T) {
			old := &lineServer{name: "old"}
			g := lineGeneration(t, tt.network, tt.secure, old)
			c := g.hijacker(t, tt.secure)
			c.write("be")
			var next *generation // has no Resume
			if tt.secure {
				next = secureGeneration(t, tt.network, &http.Server{}, serverTLS)
			} else {
				next = newGeneration(t, tt.network, &http.Server{})
			}
			g.replaceBy(t, next)
			if err := <-old.refused; !errors.Is(err, listen.ErrNoSuccessor) || !strings.Contains(err.Error(), "no Server.Resume") {
				t.Errorf("Handover = %v, want that there is no Resume", err)
			}
			c.write("gun\nmore\n")
			c.wantReply(t, "old: begun")
			c.wantReply(t, "old: more")

			// The successor has died: this generation serves again, and is replaced by one that resumes.
			next.succession.Vanish()
			if err := g.Resume(loopback.Listen(t, tt.network)); err != nil {
				t.Fatal(err)
			}
			c.write("ag")
			g.replaceBy(t, lineGeneration(t, tt.network, tt.secure, &lineServer{name: "new"}))
			g.wantMoved(t, 1)
			c.write("ain\n")
			c.wantReply(t, "new: again")
		})
	}
}

// A state that is too long stays.
func TestHijackedStateTooLong(t *testing.T) {
	for _, tt := range hijackedKinds {
		for _, size := range []int{httpx.MaxHijackedState, httpx.MaxHijackedState + 1} {
			t.Run(fmt.Sprintf("%s secure %v %d", tt.network, tt.secure, size), func(t *testing.T) {
				old := &lineServer{name: "old", padding: size}
				g := lineGeneration(t, tt.network, tt.secure, old)
				c := g.hijacker(t, tt.secure)
				c.write("one\n")
				c.wantReply(t, "old: one")
				g.replaceBy(t, lineGeneration(t, tt.network, tt.secure, &lineServer{name: "new", padding: size}))
				if size <= httpx.MaxHijackedState {
					g.wantMoved(t, 1)
					c.write("two\n")
					c.wantReply(t, "new: two")
					return
				}
				if err := <-old.refused; !errors.Is(err, listen.ErrNoSuccessor) {
					t.Errorf("Handover = %v, want ErrNoSuccessor", err)
				}
				c.write("two\n")
				c.wantReply(t, "old: two")
			})
		}
	}
}

// A hijacked connection has its bounds: others are not for Hijacked.
func TestNotHijacked(t *testing.T) {
	plain, _ := net.Pipe()
	defer plain.Close()
	if _, ok := httpx.Hijacked(plain); ok {
		t.Error("Hijacked takes a pipe")
	}
	g := newLayered(t, "tcp", &http.Server{Handler: &lineServer{name: "old"}}, func(ln net.Listener) net.Listener {
		return struct{ net.Listener }{ln}
	})
	c := g.hijacker(t, false)
	c.wantReply(t, "it does not move")
	var early sync.Once
	told := make(chan bool, 1)
	g = newGeneration(t, "tcp", &http.Server{Handler: by("x"), ConnState: func(c net.Conn, _ http.ConnState) {
		early.Do(func() {
			_, ok := httpx.Hijacked(c)
			told <- ok
		})
	}})
	g.client(t)
	if <-told {
		t.Error("Hijacked takes a connection that is net/http's")
	}
}

// What comes from another generation in a form that this one does not know is refused.
func TestHijackedNonsense(t *testing.T) {
	l := &lineServer{name: "new"}
	g := lineGeneration(t, "tcp", false, l)
	for _, state := range []string{"", "x", "\x01\x00\x00", "\x02\x00\x00\x00\x00state", "\x01\x00\x00\x00\x09state", "\x01\xff\xff\xff\xffstate"} {
		client, server := net.Pipe()
		if _, err := g.Arrivals().Reserve("hijacked http web", server, []byte(state)); err == nil {
			t.Errorf("state %q is taken", state)
		}
		client.Close()
		server.Close()
	}
	if s := g.Stats(); s.In != 0 || s.Open != 0 {
		t.Errorf("Stats = %+v, want that nothing has come", s)
	}
}
