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
)

// poll answers when it is told of a drain, as long polling does.
func poll(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	select {
	case <-httpx.Draining(ctx):
		io.WriteString(w, "told")
	case <-ctx.Done():
	}
}

// newPolling serves poll.
func newPolling(t *testing.T, secure bool, opts listener.Options) *server {
	t.Helper()
	return serve(t, secure, &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(poll), Protocols: unencrypted(!secure)}}, opts)
}

// ask asks in a protocol, and returns what waits for the answer.
func (s *server) ask(t *testing.T, secure, http2 bool) (await func(*testing.T)) {
	t.Helper()
	if !http2 {
		c := s.connect(t, secure)
		c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return func(t *testing.T) { t.Helper(); c.response(t) }
	}
	conn := s.dial(t)
	if secure {
		conn = s.dialTLS(t, "h2")
	}
	c := newClient2(t, conn)
	c.get(t, 1, "/")
	return func(t *testing.T) {
		t.Helper()
		for f := c.next(t); f != "END 1"; f = c.next(t) { // GOAWAY comes, too
			if f == ended {
				t.Fatal("the connection ends before the answer")
			}
		}
	}
}

// answered reports, in any goroutine, whether the answer says "Connection: close".
func (c *client1) answered(t *testing.T) bool {
	t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Error(err)
		return false
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "told" {
		t.Errorf("the answer is %q, %v", body, err)
	}
	return resp.Close
}

func TestDraining(t *testing.T) {
	for i := range 8 {
		secured, http2, stop := i&1 != 0, i&2 != 0, i&4 != 0
		t.Run(fmt.Sprintf("TLS %v, HTTP/2 %v, stop %v", secured, http2, stop), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newPolling(t, secured, listener.Options{Spread: spread})
				await := s.ask(t, secured, http2)
				time.Sleep(time.Hour)
				if stop {
					s.CloseIdle()
				}
				start := time.Now()
				s.drain(t)
				await(t)
				if took := time.Since(start); took >= spread || stop && took > 0 {
					t.Errorf("told after %v", took)
				}
			})
		})
	}
}

// TestDrainingIsSpread: nobody has to reconnect in the same moment as all others.
func TestDrainingIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPolling(t, false, listener.Options{Spread: spread})
		const clients = 200
		times := make(chan time.Duration, clients)
		start := time.Now()
		for range clients {
			c := newClient1(s.dial(t))
			c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			go func() {
				c.answered(t)
				times <- time.Since(start)
			}()
		}
		synctest.Wait()
		s.drain(t)
		time.Sleep(spread / 2)
		synctest.Wait()
		if n := len(times); n < clients/4 || n > clients*3/4 {
			t.Errorf("%d of %d are told half-way", n, clients)
		}
		s.Expedite()
		synctest.Wait()
		if n := len(times); n != clients {
			t.Errorf("%d of %d are told when the drain is hurried", n, clients)
		}
		first := <-times
		for range clients - 2 {
			<-times
		}
		if first > spread/10 {
			t.Errorf("the first is told after %v", first)
		}
	})
}

// TestDrainingGoesWithConnectionClose: over TLS without move_tls the client's next request, on the same connection, is the last one there.
func TestDrainingGoesWithConnectionClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPolling(t, true, listener.Options{Spread: spread})
		for range 20 {
			c := newClient1(s.dialTLS(t, "http/1.1"))
			c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			go func() {
				c.answered(t)
				time.Sleep(time.Millisecond) // else this is one of several requests that were sent at once, as far as the server knows
				c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if !c.answered(t) {
					t.Error("told, and not sent away")
				}
			}()
		}
		synctest.Wait()
		s.drain(t)
		time.Sleep(spread)
	})
}

// TestDrainingAfterResume: a drain that is called off leaves alone who has not been told, and whoever asks again.
func TestDrainingAfterResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := held(t)
		opts.Spread = spread
		s := newPolling(t, false, opts)
		const clients = 100
		told := make(chan *client1, clients)
		for range clients {
			c := newClient1(s.dial(t))
			c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			go func() { c.answered(t); told <- c }()
		}
		synctest.Wait()
		s.drain(t)
		time.Sleep(spread / 2)
		s.resume(t)
		n := len(told)
		if n == 0 || n == clients {
			t.Fatalf("%d of %d are told half-way", n, clients)
		}
		for range n {
			c := <-told
			c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			go func() { c.answered(t); told <- c }()
		}
		time.Sleep(time.Hour)
		if len(told) > 0 {
			t.Errorf("%d are told by a server that has resumed", len(told))
		}
		s.drain(t)
		time.Sleep(spread)
		if len(told) != clients {
			t.Errorf("%d of %d are told by the second drain", len(told), clients)
		}
	})
}

// TestDrainingWhenServeReturns has the program close the listener meanwhile, as a Shutdown does: nobody waits for his time any more.
func TestDrainingWhenServeReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPolling(t, false, listener.Options{Spread: spread})
		told := make(chan bool, 20)
		for range cap(told) {
			c := newClient1(s.dial(t))
			c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			go func() { c.answered(t); told <- true }()
		}
		synctest.Wait()
		s.drain(t)
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(told) != cap(told) {
			t.Errorf("%d of %d are told", len(told), cap(told))
		}
	})
}

func TestDrainingElsewhere(t *testing.T) {
	if httpx.Draining(t.Context()) != nil {
		t.Error("a channel for a context of nobody's")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if httpx.Draining(r.Context()) != nil {
			t.Error("a channel on a listener that is not gozd's")
		}
	})}}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_ = srv.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve = %v", err)
	}
}
