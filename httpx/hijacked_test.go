package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

// takeOver hijacks, and sends lines back until the client leaves. It answers after
// the time that the path names.
func takeOver(w http.ResponseWriter, r *http.Request) {
	time.Sleep(duration(r))
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n")
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(conn, line)
	}
}

func duration(r *http.Request) time.Duration {
	d, _ := time.ParseDuration(r.URL.Path[1:])
	return d
}

// goodbyes are the calls of the hook.
type goodbyes chan string

// say is the hook: it tells test and client.
func (g goodbyes) say(c net.Conn, r *http.Request) {
	g <- r.URL.Query().Get("name")
	fmt.Fprintf(c, "goodbye %s\n", r.URL.Query().Get("name")) // in memory it waits for the client
}

// newTalking is a server with the hook, on which name has been taken over.
func newTalking(t *testing.T, secure bool, opts listener.Options, names ...string) (*server, goodbyes, map[string]*client1) {
	t.Helper()
	said := make(goodbyes, 10)
	s := serve(t, secure, &httpx.Server{
		Server:        &http.Server{Handler: http.HandlerFunc(takeOver)},
		DrainHijacked: said.say,
	}, opts)
	clients := make(map[string]*client1)
	for _, name := range names {
		clients[name] = s.connect(t, secure)
		clients[name].upgrade(t, "/?name="+name)
	}
	return s, said, clients
}

func (s *server) connect(t *testing.T, secure bool) *client1 {
	t.Helper()
	if secure {
		return newClient1(s.dialTLS(t, "http/1.1"))
	}
	return newClient1(s.dial(t))
}

func (c *client1) upgrade(t *testing.T, path string) {
	t.Helper()
	if resp := c.get(t, path, "Connection: Upgrade\r\n"); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101", resp.StatusCode)
	}
}

// wantLine wants the line that the server says next.
func (c *client1) wantLine(t *testing.T, want string) {
	t.Helper()
	if line, err := c.br.ReadString('\n'); line != want+"\n" {
		t.Errorf("the server says %q, %v, want %q", line, err, want)
	}
}

func TestProgramSaysGoodbye(t *testing.T) {
	for _, secured := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, said, clients := newTalking(t, secured, listener.Options{}, "a", "b")
			clients["b"].Close()
			synctest.Wait()
			time.Sleep(time.Hour)
			if len(said) > 0 {
				t.Errorf("TLS %v: goodbye before the drain", secured)
			}
			drained := s.drain(t)
			clients["a"].wantLine(t, "goodbye a")
			io.WriteString(clients["a"], "and this?\n")
			clients["a"].wantLine(t, "and this?")
			clients["a"].Close()
			if r := <-drained; r.Ended != 1 || r.Cut != 0 {
				t.Errorf("TLS %v: Drain = %+v, want 1 ended", secured, r)
			}
			if len(said) != 1 {
				t.Errorf("TLS %v: %d goodbyes, want 1: one client had left", secured, len(said))
			}
		})
	}
}

func TestGoodbyesAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, said, _ := newTalking(t, false, listener.Options{Spread: spread}, "a", "b", "c")
		start := time.Now()
		s.drain(t)
		for i := range 3 {
			<-said
			if after, want := time.Since(start), time.Duration(i)*spread/3; after != want {
				t.Errorf("goodbye %d after %v, want %v", i+1, after, want)
			}
		}
	})
}

// The server's drain ends with its last Serve, and not with that which has drained first. It is one drain, though
// the second listener may be seen to drain only after the first Serve has returned: nobody is told twice.
func TestGoodbyesOutliveOneServe(t *testing.T) {
	for _, together := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s, said, clients := newTalking(t, false, listener.Options{Spread: spread}, "a", "b")
			for _, c := range clients {
				go io.Copy(io.Discard, c)
			}
			first := listener.New(memnet.Listen(), listener.Options{Release: make(chan struct{})})
			served := make(chan error, 1)
			go func() { served <- s.http.Serve(first) }()
			synctest.Wait()
			first.StopAccepting()
			synctest.Wait()
			if together {
				s.drain(t)
				synctest.Wait()
			}
			first.Close()
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve = %v, want net.ErrClosed", err)
			}
			synctest.Wait()
			if !together {
				s.drain(t)
			}
			time.Sleep(spread)
			synctest.Wait()
			if len(said) != 2 {
				t.Fatalf("together %v: %d goodbyes, want one for each of 2 clients", together, len(said))
			}
			if one, other := <-said, <-said; one == other {
				t.Errorf("together %v: %s is told twice", together, one)
			}
		})
	}
}

// A server whose Serves have all returned in a drain may serve again, as after OnResume: its clients hear of the next drain, and of
// none before.
func TestGoodbyesAfterServingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(goodbyes, 10)
		srv := &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(takeOver)}, DrainHijacked: said.say}
		first := listener.New(memnet.Listen(), listener.Options{Release: make(chan struct{})})
		served := make(chan error, 1)
		go func() { served <- srv.Serve(first) }()
		synctest.Wait()
		first.StopAccepting()
		synctest.Wait()
		first.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want net.ErrClosed", err)
		}
		synctest.Wait()
		s := serve(t, false, srv, listener.Options{})
		c := s.connect(t, false)
		c.upgrade(t, "/?name=a")
		go io.Copy(io.Discard, c)
		synctest.Wait()
		if len(said) != 0 {
			t.Errorf("%d goodbyes before the drain", len(said))
		}
		s.drain(t)
		synctest.Wait()
		if len(said) != 1 {
			t.Errorf("%d goodbyes in the drain, want 1", len(said))
		}
	})
}

// A request that the drain meets in its handler may take its connection over after that.
func TestGoodbyeToALateOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, said, _ := newTalking(t, false, listener.Options{})
		c := s.connect(t, false)
		c.write("GET /1h?name=late HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		start := time.Now()
		s.drain(t)
		if name := <-said; name != "late" || time.Since(start) != time.Hour {
			t.Errorf("goodbye to %q after %v, want late and 1h", name, time.Since(start))
		}
	})
}

// The request is the one that Handler got, with the program's own context, and the
// hooks of the http.Server are still called.
func TestGoodbyeKnowsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		router := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/0s" {
				http.NotFound(w, r)
				return
			}
			takeOver(w, r.WithContext(context.WithValue(r.Context(), "route", "/{d}"))) //nolint:staticcheck // as routers do
		})
		said := make(chan any, 1)
		s := serve(t, false, &httpx.Server{
			Server: &http.Server{
				Handler: router,
				ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
					return context.WithValue(ctx, key{}, "mine")
				},
			},
			DrainHijacked: func(c net.Conn, r *http.Request) {
				said <- r.Context().Value(key{})
				c.Close()
			},
		}, listener.Options{})
		c := s.connect(t, false)
		c.get(t, "/nothing/here", "") // a request before, that is no upgrade
		c.upgrade(t, "/0s")
		drained := s.drain(t)
		if v := <-said; v != "mine" {
			t.Errorf("the hook sees %v in the context, want the program's value", v)
		}
		if r := <-drained; r.Ended != 1 {
			t.Errorf("Drain = %+v, want 1 ended", r)
		}
	})
}
