package httpx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

// resume has the server accept again, and waits until it has noticed.
func (s *server) resume(t *testing.T) {
	t.Helper()
	synctest.Wait() // it has noticed the drain
	s.mem = memnet.Listen()
	if err := s.Resume(s.mem); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// held is never closed: what drains keeps Accept back, as a daemon's listeners do.
func held(t *testing.T) listener.Options {
	t.Helper()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return listener.Options{Group: "web", Release: release}
}

func TestResumedServerKeepsItsClients(t *testing.T) {
	for _, secured := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, secured, &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(slow)}}, held(t))
			dial := func() *client1 {
				if secured {
					return newClient1(s.dialTLS(t, "http/1.1"))
				}
				return newClient1(s.dial(t))
			}
			closes := func(c *client1) bool { return c.get(t, "/", "").Close }
			quiet, told := dial(), dial()
			if closes(quiet) || closes(told) {
				t.Fatalf("TLS %v: a client is sent away before the drain", secured)
			}
			s.drain(t)
			synctest.Wait()
			if !closes(told) {
				t.Errorf("TLS %v: a client is not sent away by the drain", secured)
			}
			s.resume(t)
			if again := dial(); slices.ContainsFunc([]*client1{again, again, quiet}, closes) {
				t.Errorf("TLS %v: a client is sent away by a server that has resumed", secured)
			}
			s.drain(t)
			synctest.Wait()
			if !closes(quiet) {
				t.Errorf("TLS %v: a client is not sent away by the second drain", secured)
			}
		})
	}
}

func TestResumedServerSendsNoGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, true, &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(slow)}}, held(t))
		s.drain(t)
		s.resume(t)
		c := newClient2(t, s.dialTLS(t, "h2"))
		time.Sleep(time.Hour)
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		s.drain(t)
		c.want(t, goAway, ping)
	})
}

// A goodbye that is not due yet when the server resumes is not said; the next drain says it.
func TestGoodbyesAreCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := held(t)
		opts.Spread = spread
		s, said, clients := newTalking(t, false, opts, "a", "b", "c")
		for _, c := range clients {
			go io.Copy(io.Discard, c)
		}
		s.drain(t)
		<-said
		s.resume(t)
		time.Sleep(2 * spread)
		if len(said) > 0 {
			t.Error("a goodbye is said by a server that has resumed")
		}
		s.drain(t)
		for range 3 {
			<-said
		}
	})
}

func TestHealthAfterResume(t *testing.T) {
	ln := listener.New(memnet.Listen(), listener.Options{})
	defer func() { _ = ln.Close() }()
	h := httpx.Health(ln, nil)
	steps := []struct {
		do   func()
		want int
	}{
		{func() {}, http.StatusOK},
		{func() { ln.Drain(t.Context()) }, http.StatusServiceUnavailable},
		{func() { _ = ln.Resume(memnet.Listen()) }, http.StatusOK},
	}
	for i, step := range steps {
		step.do()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		if w.Code != step.want {
			t.Errorf("step %d: status %d, want %d", i, w.Code, step.want)
		}
	}
}

// TestServeThatReturnsWhileDraining has a program close one of two listeners of a server that drains. When the other one resumes, before or
// after that, its clients stay.
func TestServeThatReturnsWhileDraining(t *testing.T) {
	for _, before := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, false, &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(slow)}}, held(t))
			other := listener.New(memnet.Listen(), held(t))
			served := make(chan error, 1)
			go func() { served <- s.http.Serve(other) }()
			c := newClient1(s.dial(t))
			synctest.Wait()
			s.drain(t)
			other.StopAccepting()
			synctest.Wait()
			if !before {
				s.resume(t)
			}
			_ = other.Close()
			if err := <-served; err == nil {
				t.Error("Serve = nil, want why it has returned")
			}
			synctest.Wait()
			if before {
				s.resume(t)
			}
			if c.get(t, "/", "").Close {
				t.Errorf("closed before the other resumes %v: its client is sent away", before)
			}
		})
	}
}
