package httpx_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// newUnencrypted serves HTTP/1.1 and HTTP/2 without TLS, as for gRPC behind a proxy.
func newUnencrypted(t *testing.T) *server {
	t.Helper()
	return newServer(t, false, &http.Server{Handler: http.HandlerFunc(slow), Protocols: unencrypted(true)})
}

// unencrypted also allows HTTP/2 without TLS, of whose preface net/http reads the
// length first; nil allows what http.Server does by itself.
func unencrypted(allow bool) *http.Protocols {
	if !allow {
		return nil
	}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func TestGoAwayWithoutTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newUnencrypted(t)
		c := newClient2(t, s.dial(t))
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		c.get(t, 3, "/1h")
		synctest.Wait()
		drained := s.drain(t)
		c.want(t, goAway, ping)
		c.get(t, 5, "/") // it was on its way
		c.wantAnswer(t, 5)
		c.ackPing(t, pingData)
		c.wantNothing(t, time.Minute)
		c.wantAnswer(t, 3)
		c.wantClosed(t, goAwayLinger)
		if r := <-drained; r.Ended != 1 || r.Cut != 0 {
			t.Errorf("Drain = %+v, want 1 ended", r)
		}
	})
}

func TestHTTP1BesideUnencryptedHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newUnencrypted(t)
		c := newClient1(s.dial(t))
		if resp := c.get(t, "/", ""); resp.Close {
			t.Error("Connection: close before the drain")
		}
		s.drain(t)
		synctest.Wait()
		if resp := c.get(t, "/", ""); !resp.Close {
			t.Error("no Connection: close while draining")
		}
		c.wantEOF(t)
	})
}
