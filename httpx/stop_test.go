package httpx_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// With nobody to take over, connections of HTTP/1.1 over TLS need not wait for a
// next request: idle ones end at once, those in use with their answer, and new ones
// have a second.
func TestStopEndsIdleTLS(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, c *client1)
		after  time.Duration // when the connection ends
	}{
		{"idle", func(t *testing.T, c *client1) { t.Helper(); c.get(t, "/", "") }, 0},
		{"fresh", func(*testing.T, *client1) {}, time.Second},
		{"in use", func(_ *testing.T, c *client1) { c.write("GET /1m HTTP/1.1\r\nHost: x\r\n\r\n") }, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
				c := s.connect(t, true)
				tt.before(t, c)
				synctest.Wait()
				s.CloseIdle()
				drained := s.drain(t)
				if tt.after == time.Minute {
					c.response(t)
				}
				if r := <-drained; r.Ended != 1 || r.Cut != 0 || r.Took != tt.after {
					t.Errorf("Drain = %+v, want 1 ended after %v", r, tt.after)
				}
			})
		})
	}
}

// HTTP/2 has its own way to end, which a stop must not cut short.
func TestStopLeavesHTTP2ToItsGoAways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		c := newClient2(t, s.dialTLS(t, "h2"))
		s.CloseIdle()
		s.drain(t)
		c.want(t, goAway, ping)
		time.Sleep(time.Minute)
		c.get(t, 1, "/")
		c.wantAnswer(t, 1)
		c.ackPing(t, pingData)
		c.wantClosed(t, goAwayLinger)
	})
}
