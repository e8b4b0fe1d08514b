//go:build unix

package httpx_test

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// waiting returns what pausing wants, and what has it go on.
func waiting(t *testing.T) (inHandler chan string, wait <-chan struct{}, release func()) {
	t.Helper()
	w := make(chan struct{})
	release = sync.OnceFunc(func() { close(w) })
	t.Cleanup(release)
	return make(chan string, 1), w, release
}

// ping asks the server something, and wants its answer: from then on it has seen what was before.
func (c *client2) ping(t *testing.T) {
	t.Helper()
	c.do(t, func() error { return c.fr.WritePing(false, [8]byte([]byte("question"))) })
	c.want(t, "PING question")
}

// pausing answers at once, but /wait when release is closed, and tells inHandler.
func pausing(code int, inHandler chan<- string, release <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			inHandler <- r.URL.Path
			<-release
		}
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
	})
}

// A stream that ends soon lets the connection move. What was asked meanwhile is answered by the successor.
func TestNewStreamIsHeldBack(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			inHandler, wait, release := waiting(t)
			old := k.generation(t, k.server(pausing(201, inHandler, wait)))
			next := k.generation(t, k.server(status(202)))
			c := newClient2(t, k.dial(t, old))
			c.get(t, 1, "/wait")
			<-inHandler
			old.replaceBy(t, next)
			c.ping(t)
			c.get(t, 3, "/")
			c.ping(t) // it goes on
			release()
			c.wantStatus(t, 1, 201)
			c.wantStatus(t, 3, 202)
			old.wantMoved(t, 1)
		})
	}
}

// The body of an open stream goes on while another one is held back.
func TestBodyOfAnOpenStreamGoesOn(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			inHandler, wait, release := waiting(t)
			release()
			old := k.generation(t, k.server(pausing(201, inHandler, wait)))
			next := k.generation(t, k.server(status(202)))
			c := newClient2(t, k.dial(t, old))
			open := func(stream uint32) {
				c.do(t, func() error {
					h := c.headers(stream, "/wait")
					h.EndStream = false
					return c.fr.WriteHeaders(h)
				})
			}
			data := func(stream uint32, end bool) {
				c.do(t, func() error { return c.fr.WriteData(stream, end, make([]byte, 1000)) })
			}
			open(1)
			<-inHandler
			old.replaceBy(t, next)
			c.ping(t)
			open(3)
			data(3, false)
			data(1, false)
			data(3, true)
			data(1, true)
			c.wantStatus(t, 1, 201)
			c.wantStatus(t, 3, 202)
			old.wantMoved(t, 1)
		})
	}
}

// A stream that does not end keeps the connection. What has been held back is answered here, and the client is sent away.
func TestHTTP2StaysWithALongStream(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			inHandler, wait, release := waiting(t)
			old := k.generation(t, k.server(pausing(201, inHandler, wait)))
			next := k.generation(t, k.server(status(202)))
			c := newClient2(t, k.dial(t, old))
			c.get(t, 1, "/wait")
			<-inHandler
			begin := time.Now()
			old.replaceBy(t, next)
			c.ping(t)
			c.get(t, 3, "/")
			got := []string{c.next(t), c.next(t), c.next(t)}
			slices.Sort(got)
			if want := []string{goAway, "HEADERS 3 201", ping}; !slices.Equal(got, want) {
				t.Errorf("the server says %q, want %q", got, want)
			}
			if took := time.Since(begin); took < holdLimit/2 {
				t.Errorf("after %v, want it to be held back for %v", took, holdLimit)
			}
			release()
			c.wantStatus(t, 1, 201)
			if s := old.Stats(); s.Out != 0 {
				t.Errorf("%d connections have moved, want none", s.Out)
			}
			if k.secure {
				old.wantStayed(t, map[string]uint64{"streams": 1})
			}
		})
	}
}

// Trailers of an open stream must not overtake the header of one that is held back: then nothing is.
func TestHTTP2StaysWithTrailersBehindANewStream(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			inHandler, wait, release := waiting(t)
			release()
			old := k.generation(t, k.server(pausing(201, inHandler, wait)))
			next := k.generation(t, k.server(status(202)))
			c := newClient2(t, k.dial(t, old))
			c.do(t, func() error {
				h := c.headers(1, "/wait")
				h.EndStream = false
				return c.fr.WriteHeaders(h)
			})
			<-inHandler
			old.replaceBy(t, next)
			c.ping(t)
			c.get(t, 3, "/")
			c.do(t, func() error {
				return c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0, 1, 'x', 1, 'y'}, EndHeaders: true, EndStream: true})
			})
			var got []string
			for range 4 {
				got = append(got, c.next(t))
			}
			slices.Sort(got)
			if want := []string{goAway, "HEADERS 1 201", "HEADERS 3 201", ping}; !slices.Equal(got, want) {
				t.Errorf("the server says %q, want %q", got, want)
			}
		})
	}
}
