//go:build unix

package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/recvq"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// generation is a gozd listener on a socket with an httpx.Server on it, that takes
// connections from the one before.
type generation struct {
	*listen.Listener
	http     *httpx.Server
	receiver *handover.Receiver
}

// newGeneration serves srv with handler on network, and sees to its end.
func newGeneration(t *testing.T, network string, srv *http.Server) *generation {
	t.Helper()
	serving := make(chan struct{})
	g := &generation{
		Listener: listen.New(raw(t, network), listen.Options{Group: "web", OnAccept: func() { close(serving) }}),
		http:     &httpx.Server{Server: srv},
	}
	g.start(t, g.Listener)
	<-serving // only then does a generation say that it is ready
	return g
}

// start serves on ln.
func (g *generation) start(t *testing.T, ln net.Listener) {
	t.Helper()
	var err error
	g.receiver, err = handover.NewReceiver([]string{"web"}, func(_ string, c net.Conn, state []byte) error {
		return g.Adopt(c, state)
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.http.Serve(ln) }()
	t.Cleanup(func() {
		g.receiver.Close()
		g.http.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want that it is closed", err)
		}
		g.CloseIdle()
		g.Drain(canceled())
	})
}

// canceled returns a context whose deadline has passed.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// replaceBy begins the drain of g, whose idle connections move to next.
func (g *generation) replaceBy(t *testing.T, next *generation) {
	t.Helper()
	ours, theirs, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	if err := next.receiver.Add(theirs); err != nil {
		t.Fatal(err)
	}
	sender, err := handover.NewSender(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	g.MoveIdle(sender)
	g.receiver.PassOn(sender)
	g.StopAccepting()
}

// client dials g, and fails instead of waiting for ever.
func (g *generation) client(t *testing.T) *client1 {
	t.Helper()
	c, err := net.Dial(g.Addr().Network(), g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return newClient1(c)
}

// wantMoved waits until n connections have left g for its successor.
func (g *generation) wantMoved(t *testing.T, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections moved", n), func() bool { return g.Stats().Out == n })
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 seconds", what)
		}
	}
}

// by answers with the generation's name and the request's body.
func by(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s: %s", name, body)
	})
}

// post sends a request and returns the body of its answer, which must not close
// the connection.
func (c *client1) post(body string) (string, error) {
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return "", err
	}
	return c.answer()
}

func (c *client1) answer() (string, error) {
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, b)
	case resp.Close:
		return "", errors.New("the answer says Connection: close")
	}
	return string(b), nil
}

// wantBy wants the answer to body to come from the generation of that name.
func (c *client1) wantBy(t *testing.T, name, body string) {
	t.Helper()
	got, err := c.answer()
	if want := name + ": " + body; got != want || err != nil {
		t.Fatalf("answer %q, %v, want %q", got, err, want)
	}
}

func TestBackToBackPostsOverMoves(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const moves, clients = 50, 4
			g := newGeneration(t, network, &http.Server{Handler: by("0")})
			stop := make(chan struct{})
			requests := make([]int, clients)
			seen := make([]map[string]bool, clients)
			var posting sync.WaitGroup
			for i := range clients {
				c := g.client(t)
				if _, err := c.post("first"); err != nil { // the sockets are not shared: it must be accepted
					t.Fatal(err)
				}
				seen[i] = make(map[string]bool)
				posting.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							requests[i] = n
							return
						default:
						}
						body := fmt.Sprintf("%d/%d", i, n)
						got, err := c.post(body)
						name, answer, _ := strings.Cut(got, ": ")
						if err != nil || answer != body {
							t.Errorf("client %d request %d: %q, %v", i, n, got, err)
							return
						}
						seen[i][name] = true
					}
				})
			}
			for move := range moves {
				next := newGeneration(t, network, &http.Server{Handler: by(fmt.Sprint(move + 1))})
				g.replaceBy(t, next)
				if r := g.Drain(deadline(t, 20*time.Second)); r.Cut != 0 || r.Ended != 0 {
					t.Errorf("move %d: Drain = %+v, want all moved", move, r)
				}
				g = next
			}
			close(stop)
			posting.Wait()
			for i := range clients {
				if len(seen[i]) < 2 {
					t.Errorf("client %d saw generations %v, want several", i, seen[i])
				}
			}
			t.Logf("requests: %d", requests)
		})
	}
}

// twoGenerations returns an old and a new one.
func twoGenerations(t *testing.T, network string, oldServer *http.Server) (old, next *generation) {
	t.Helper()
	return newGeneration(t, network, oldServer), newGeneration(t, network, &http.Server{Handler: by("new")})
}

func TestUnusedConnectionMoves(t *testing.T) {
	for i, network := range []string{"tcp", "unix", "tcp", "unix"} {
		old, next := twoGenerations(t, network, &http.Server{Handler: by("old"), ReadHeaderTimeout: time.Minute, Protocols: unencrypted(i >= 2)})
		c := old.client(t)
		eventually(t, "accepted", func() bool { return old.Stats().Accepted == 1 })
		old.replaceBy(t, next)
		old.wantMoved(t, 1)
		c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
		c.wantBy(t, "new", "x")
	}
}

func TestBegunRequestIsAnsweredFirst(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	for _, used := range []bool{false, true} {
		for _, sent := range []int{1, 3, 14, 20, 24, 40, len(request) - 5, len(request) - 1} {
			t.Run(fmt.Sprintf("used %v %d bytes", used, sent), func(t *testing.T) {
				old, next := twoGenerations(t, "tcp", &http.Server{Handler: by("old"), Protocols: unencrypted(sent%2 == 0)})
				c := old.client(t)
				if used {
					if got, err := c.post("x"); got != "old: x" || err != nil {
						t.Fatal(got, err)
					}
				}
				io.WriteString(c, request[:sent])
				recvq.AwaitEmpty(t, c)
				old.replaceBy(t, next)
				for range 100 { // it has been woken
					if out := old.Stats().Out; out != 0 {
						t.Fatal("it moved with half a request")
					}
					time.Sleep(100 * time.Microsecond)
				}
				io.WriteString(c, request[sent:])
				c.wantBy(t, "old", "body")
				old.wantMoved(t, 1)
				io.WriteString(c, request)
				c.wantBy(t, "new", "body")
			})
		}
	}
}

func TestPipelinedRequestIsAnsweredByTheOld(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		inHandler, release := make(chan struct{}, 3), make(chan struct{})
		old, next := twoGenerations(t, network, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inHandler <- struct{}{}
			<-release
			by("old").ServeHTTP(w, r)
		})})
		c := old.client(t)
		const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
		c.write(request + "1" + request + "2" + request + "3")
		<-inHandler
		old.replaceBy(t, next)
		close(release)
		for _, body := range []string{"1", "2", "3"} {
			c.wantBy(t, "old", body)
		}
		old.wantMoved(t, 1)
		c.write(request + "4" + request + "5")
		c.wantBy(t, "new", "4")
		c.wantBy(t, "new", "5")
	}
}

// The next request arrives while the one before is being answered: net/http's
// background read has its first byte.
func TestRequestDuringTheOneBefore(t *testing.T) {
	inHandler, release := make(chan struct{}, 2), make(chan struct{})
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		inHandler <- struct{}{}
		<-release
		io.WriteString(w, "old: ")
	})})
	c := old.client(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inHandler
	old.replaceBy(t, next)
	io.WriteString(c, "G")
	recvq.AwaitEmpty(t, c)
	close(release)
	c.wantBy(t, "old", "")
	io.WriteString(c, "ET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.wantBy(t, "old", "")
	old.wantMoved(t, 1)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.wantBy(t, "new", "")
}

func TestLongRequestMovesAfterItsResponse(t *testing.T) {
	inHandler, release := make(chan struct{}), make(chan struct{})
	canceledEarly := make(chan bool, 1)
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inHandler)
		<-release
		canceledEarly <- r.Context().Err() != nil
		io.WriteString(w, "old: ")
	})})
	c := old.client(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inHandler
	old.replaceBy(t, next)
	drained := make(chan listen.Result, 1)
	go func() { drained <- old.Drain(deadline(t, 20*time.Second)) }()
	if old.Stats().Out != 0 {
		t.Error("it moved while a request was in the handler")
	}
	close(release)
	c.wantBy(t, "old", "")
	if <-canceledEarly {
		t.Error("the request's context was canceled")
	}
	if r := <-drained; r.Ended != 0 || r.Cut != 0 {
		t.Errorf("Drain = %+v, want it moved", r)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.wantBy(t, "new", "")
}

func TestBodiesOverADrain(t *testing.T) {
	tests := []struct{ name, header, first, rest, body string }{
		{"chunked with pauses", "Transfer-Encoding: chunked\r\n", "5\r\nfirst\r\n", "4\r\nrest\r\n0\r\n\r\n", "firstrest"},
		{"in the midst of a chunk", "Transfer-Encoding: chunked\r\n", "5\r\nfi", "rst\r\n0\r\n\r\n", "first"},
		{"a length", "Content-Length: 8192\r\n", strings.Repeat("x", 4096), strings.Repeat("y", 4096), strings.Repeat("x", 4096) + strings.Repeat("y", 4096)},
		{"nothing but the header", "Content-Length: 4\r\n", "", "body", "body"},
	}
	for _, tt := range tests {
		for _, expect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s expect %v", tt.name, expect), func(t *testing.T) {
				begun := make(chan struct{}, 2)
				old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					begun <- struct{}{}
					by("old").ServeHTTP(w, r)
				})})
				c := old.client(t)
				header := "POST / HTTP/1.1\r\nHost: x\r\n" + tt.header
				if expect {
					io.WriteString(c, header+"Expect: 100-continue\r\n\r\n")
					if line, err := c.br.ReadString('\n'); !strings.Contains(line, "100 Continue") {
						t.Fatalf("the server says %q, %v, want 100 Continue", line, err)
					}
					c.br.ReadString('\n')
				} else {
					io.WriteString(c, header+"\r\n")
				}
				<-begun
				io.WriteString(c, tt.first)
				old.replaceBy(t, next)
				for range 5 {
					time.Sleep(time.Millisecond)
					if old.Stats().Out != 0 {
						t.Fatal("it moved in the midst of a body")
					}
				}
				io.WriteString(c, tt.rest)
				c.wantBy(t, "old", tt.body)
				old.wantMoved(t, 1)
				if got, err := c.post("next"); got != "new: next" || err != nil {
					t.Errorf("the next request: %q, %v", got, err)
				}
			})
		}
	}
}

func TestHijackedIsNotMoved(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		hijacked := make(chan net.Conn, 1)
		old, next := twoGenerations(t, network, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			hijacked <- conn
		})})
		c := old.client(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		conn := <-hijacked
		old.replaceBy(t, next)
		copied := make(chan error, 1)
		go func() { // as a proxy does; on TCP it reads past our Read
			_, err := io.Copy(conn, conn)
			conn.Close()
			copied <- err
		}()
		for range 3 {
			io.WriteString(c, "line\n")
			if line, err := c.br.ReadString('\n'); line != "line\n" {
				t.Errorf("%s: the handler says %q, %v, want the line", network, line, err)
			}
		}
		if got := old.Stats(); got.Out != 0 || got.Open != 1 {
			t.Errorf("%s: Stats = %+v, want it open here", network, got)
		}
		c.Close()
		if err := <-copied; err != nil {
			t.Errorf("%s: copy = %v", network, err)
		}
	}
}

// The drain begins while a proxy copies from a hijacked connection.
func TestDrainDuringACopyFromAHijackedConnection(t *testing.T) {
	hijacked, copied := make(chan struct{}), make(chan error, 1)
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		close(hijacked)
		_, err = io.Copy(conn, conn)
		copied <- err
	})})
	c := old.client(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-hijacked
	for i := range 20 {
		if i == 10 {
			old.replaceBy(t, next)
		}
		io.WriteString(c, "line\n")
		if line, err := c.br.ReadString('\n'); line != "line\n" {
			t.Fatalf("line %d: the handler says %q, %v", i, line, err)
		}
	}
	c.Close()
	if err := <-copied; err != nil {
		t.Errorf("copy = %v", err)
	}
}

func TestTLSIsNotMoved(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		old := &generation{
			Listener: listen.New(raw(t, "tcp"), listen.Options{Group: "web"}),
			http:     &httpx.Server{Server: &http.Server{Handler: by("old")}},
		}
		old.start(t, listen.NewTLS(old.Listener, serverTLS))
		next := newGeneration(t, "tcp", &http.Server{Handler: by("new")})
		conn := secure(t, old.client(t).Conn, proto)
		if proto == "h2" {
			c := newClient2(t, conn)
			c.get(t, 1, "/")
			c.wantAnswer(t, 1)
			old.replaceBy(t, next)
			c.want(t, goAway, ping)
			c.conn.Close()
		} else {
			c := newClient1(conn)
			c.get(t, "/", "")
			old.replaceBy(t, next)
			// The server may notice a moment later.
			eventually(t, "Connection: close", func() bool { return c.get(t, "/", "").Close })
			c.wantEOF(t)
		}
		if got := old.Stats().Out; got != 0 {
			t.Errorf("%s: %d connections moved, want none", proto, got)
		}
	}
}

// record is a ConnState hook that remembers.
type record struct {
	mu  sync.Mutex // guards all
	all []http.ConnState
}

func (r *record) hook(c net.Conn, s http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, s)
}

func (r *record) want(t *testing.T, who string, want ...http.ConnState) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s sees %v", who, want), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Equal(r.all, want)
	})
}

func TestProgramsConnStateOverAMove(t *testing.T) {
	var before, after record
	old := newGeneration(t, "tcp", &http.Server{Handler: by("old"), ConnState: before.hook})
	next := newGeneration(t, "tcp", &http.Server{Handler: by("new"), ConnState: after.hook})
	c := old.client(t)
	_, _ = c.post("x")
	before.want(t, "the old program", http.StateNew, http.StateActive, http.StateIdle)
	old.replaceBy(t, next)
	before.want(t, "the old program", http.StateNew, http.StateActive, http.StateIdle, http.StateClosed)
	after.want(t, "the new program") // it is parked
	_, _ = c.post("x")
	after.want(t, "the new program", http.StateNew, http.StateActive, http.StateIdle)
	c.Close()
	after.want(t, "the new program", http.StateNew, http.StateActive, http.StateIdle, http.StateClosed)
}

func TestTimeoutsOfMovedConnections(t *testing.T) {
	const timeout = 200 * time.Millisecond
	tests := []struct {
		name string
		srv  *http.Server
		sent string // after the move
		ends bool
		says string // what the server says before
	}{
		{"IdleTimeout while parked", &http.Server{IdleTimeout: timeout}, "", true, ""},
		{"ReadTimeout is its default", &http.Server{ReadTimeout: timeout}, "", true, ""},
		{"no IdleTimeout", &http.Server{IdleTimeout: -1, ReadTimeout: timeout}, "", false, ""},
		{"ReadHeaderTimeout does not count while parked", &http.Server{ReadHeaderTimeout: timeout}, "", false, ""},
		{"ReadHeaderTimeout in a header", &http.Server{ReadHeaderTimeout: timeout}, "GET / HT", true, "HTTP/1.1 400 Bad Request"}, // as net/http does
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.srv.Handler = by("new")
			old := newGeneration(t, "tcp", &http.Server{Handler: by("old")})
			next := newGeneration(t, "tcp", tt.srv)
			c := old.client(t)
			if _, err := c.post("x"); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			old.replaceBy(t, next)
			old.wantMoved(t, 1)
			io.WriteString(c, tt.sent)
			if !tt.ends {
				time.Sleep(2 * timeout)
				if got, err := c.post("y"); got != "new: y" || err != nil {
					t.Errorf("after twice the time: %q, %v, want an answer", got, err)
				}
				return
			}
			if rest, err := io.ReadAll(c.br); !strings.HasPrefix(string(rest), tt.says) || (tt.says == "" && len(rest) > 0) || err != nil {
				t.Errorf("the server says %q, %v, want %q and io.EOF", rest, err, tt.says)
			}
			if took := time.Since(start); took < timeout || took > timeout+5*time.Second {
				t.Errorf("it was closed after %v, want %v", took, timeout)
			}
		})
	}
}

// A handler's own deadline is kept while the drain wakes the background read.
func TestHandlersReadDeadlineOverADrain(t *testing.T) {
	for range 20 {
		inHandler, draining := make(chan struct{}), make(chan struct{})
		var early bool
		old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			close(inHandler)
			for done := false; !done; {
				select {
				case <-draining:
					done = true
				default:
				}
				if err := rc.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
			}
			early = r.Context().Err() != nil
			io.WriteString(w, "old: ")
		})})
		c := old.client(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-inHandler
		old.replaceBy(t, next)
		close(draining)
		c.wantBy(t, "old", "")
		if early {
			t.Error("the request's context was canceled")
		}
		old.wantMoved(t, 1)
		if got, err := c.post("x"); got != "new: x" || err != nil {
			t.Errorf("the next request: %q, %v", got, err)
		}
	}
}

// When the successor has gone, connections that have stayed are served, and closed
// with an answer that says so.
func TestSuccessorGoes(t *testing.T) {
	inHandler, release := make(chan struct{}, 2), make(chan struct{})
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inHandler <- struct{}{}
		<-release
		by("old").ServeHTTP(w, r)
	})})
	c := old.client(t)
	c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	<-inHandler
	old.replaceBy(t, next)
	next.receiver.Close()
	close(release)
	c.wantBy(t, "old", "x")
	eventually(t, "no successor", func() bool { return !old.Moves() })
	if resp := c.get(t, "/", ""); resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("status %d, Connection: close %v, want 200, true", resp.StatusCode, resp.Close)
	}
	c.wantEOF(t)
}
