//go:build unix

package httpx_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/recvq"
)

// inner is a request that another one has as its body.
const inner = "POST / HTTP/1.1\r\nHost: inner\r\nContent-Length: 3\r\n\r\nbad"

// TestBegunBehindAnotherRequest has a part of a request arrive together with the whole one before, cut at every position: net/http has that in
// its buffer, or used up in part, when the drain begins. The request is answered first, and then the connection moves.
func TestBegunBehindAnotherRequest(t *testing.T) {
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner)
	header := len(request) - len(inner)
	for _, tt := range []struct {
		name   string
		change func(*http.Server)
		layer  func(net.Listener) net.Listener
	}{
		{name: "as is"},
		{name: "timeouts", change: func(s *http.Server) {
			s.ReadHeaderTimeout, s.IdleTimeout, s.WriteTimeout = time.Minute, 2*time.Minute, time.Minute
		}},
		{name: "one timeout", change: func(s *http.Server) { s.ReadTimeout = time.Minute }},
		{name: "HTTP/2 without TLS", change: func(s *http.Server) { s.Protocols = unencrypted(true) }},
		{name: "a short header", change: func(s *http.Server) { s.MaxHeaderBytes = 1 }},
		{name: "a hook that sets deadlines", change: func(s *http.Server) {
			s.ConnState = func(c net.Conn, state http.ConnState) {
				if state == http.StateIdle {
					_ = c.SetReadDeadline(time.Now().Add(time.Minute))
				}
			}
		}},
		{name: "a layer", layer: layerOf(func(c net.Conn) net.Conn { return &embedding{c} })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for cut := 1; cut <= header; cut++ {
				if tt.change != nil && request[cut-1] != '\n' && cut > 4 { // where one could be mistaken
					continue
				}
				generation := func(name string) *generation {
					srv := &http.Server{Handler: by(name)}
					if tt.change != nil {
						tt.change(srv)
					}
					if tt.layer == nil {
						return newGeneration(t, "tcp", srv)
					}
					return newLayered(t, "tcp", srv, tt.layer)
				}
				old, next := generation("old"), generation("new")
				c := old.client(t)
				if _, err := io.WriteString(c, request+request[:cut]); err != nil {
					t.Fatal(err)
				}
				c.wantBy(t, "old", inner)
				recvq.AwaitEmpty(t, c)
				old.replaceBy(t, next)
				old.wantNotMoved(t, fmt.Sprintf("after %q", request[:cut]))
				if _, err := io.WriteString(c, request[cut:]); err != nil {
					t.Fatal(err)
				}
				c.wantBy(t, "old", inner)
				old.wantMoved(t, 1)
				if got, err := c.post("next"); got != "new: next" || err != nil {
					t.Errorf("the next request: %q, %v", got, err)
				}
			}
		})
	}
}
