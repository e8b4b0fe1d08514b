package httpx_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

const spread = 30 * time.Second

// newSpreading is newServer with a spread.
func newSpreading(t *testing.T, secure bool, srv *http.Server) *server {
	t.Helper()
	return serve(t, secure, &httpx.Server{Server: srv}, listener.Options{Spread: spread})
}

// awayTimes drains s and returns when, after that, each of n clients of HTTP/2 was
// sent away.
func awayTimes(t *testing.T, s *server, n int, meanwhile func()) []time.Duration {
	t.Helper()
	type told struct{ after time.Duration }
	times := make(chan told, n)
	var clients []*client2
	for range n {
		c := newClient2(t, s.dialTLS(t, "h2"))
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		clients = append(clients, c)
	}
	time.Sleep(time.Second) // they are not new any more
	start := time.Now()
	s.drain(t)
	for _, c := range clients {
		go func() {
			c.want(t, goAway, ping)
			times <- told{time.Since(start)}
		}()
	}
	meanwhile()
	var all []time.Duration
	for range n {
		all = append(all, (<-times).after)
	}
	return all
}

func TestGoAwaysAreSpreadEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpreading(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		for i, after := range awayTimes(t, s, 6, func() {}) {
			if want := time.Duration(i) * spread / 6; after != want {
				t.Errorf("client %d is sent away after %v, want %v", i+1, after, want)
			}
		}
	})
}

func TestHurryEndsTheSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpreading(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		times := awayTimes(t, s, 3, func() {
			time.Sleep(12 * time.Second)
			s.Expedite()
		})
		for i, want := range []time.Duration{0, 10 * time.Second, 12 * time.Second} {
			if times[i] != want {
				t.Errorf("client %d is sent away after %v, want %v", i+1, times[i], want)
			}
		}
	})
}

// Nobody takes over after a stop, so there is no storm to be spread.
func TestNoSpreadAtAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpreading(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		s.CloseIdle()
		for i, after := range awayTimes(t, s, 3, func() {}) {
			if after != 0 {
				t.Errorf("client %d is sent away after %v, want at once", i+1, after)
			}
		}
	})
}

// Every answer over HTTP/1.1 with TLS says whether the connection's time has come.
func TestConnectionCloseIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpreading(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		const clients = 200
		var open []*client1
		for range clients {
			c := newClient1(s.dialTLS(t, "http/1.1"))
			c.get(t, "/", "")
			open = append(open, c)
		}
		s.drain(t)
		synctest.Wait()
		ends := 0
		for second := range int(spread/time.Second) + 1 {
			var still []*client1
			for _, c := range open {
				if c.get(t, "/", "").Close {
					c.wantEOF(t)
				} else {
					still = append(still, c)
				}
			}
			if len(still) < len(open) {
				ends++
			}
			open = still
			if second == 15 && (len(open) < clients/4 || len(open) > clients*3/4) {
				t.Errorf("%d of %d connections are open half-way", len(open), clients)
			}
			time.Sleep(time.Second)
		}
		if len(open) > 0 {
			t.Errorf("%d of %d connections are open after the spread", len(open), clients)
		}
		if ends < 20 {
			t.Errorf("connections ended in %d of 30 seconds: that is no spread", ends)
		}
	})
}
