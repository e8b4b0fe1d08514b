package httpx_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c" //nolint:staticcheck // programs have it

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// TestStreamsAtTheDeadline has streams open when the drain's deadline comes: what is answered within the second is, and the
// connection ends with the last of them, or after the second.
func TestStreamsAtTheDeadline(t *testing.T) {
	for _, tt := range []struct {
		name    string
		secured bool
		path    string // takes so long
		want    []string
		cutTook time.Duration // from the deadline
	}{
		{"over TLS", true, "/60500ms", []string{"HEADERS 1 200", "END 1"}, 600 * time.Millisecond},
		{"without TLS", false, "/60500ms", []string{"HEADERS 1 200", "END 1"}, 600 * time.Millisecond},
		{"too long", true, "/1h", nil, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, tt.secured, &http.Server{Handler: http.HandlerFunc(slow), Protocols: unencrypted(!tt.secured)})
				raw := s.dial(t)
				if tt.secured {
					raw = secure(t, raw, "h2")
				}
				c := newClient2(t, raw)
				c.get(t, 1, tt.path)
				synctest.Wait()
				ctx := deadline(t, time.Minute)
				start := time.Now()
				drained := make(chan listener.Result, 1)
				go func() { drained <- s.Drain(ctx) }()
				c.want(t, goAway, ping)
				c.ackPing(t, pingData)
				c.want(t, tt.want...)
				if tt.want != nil {
					c.want(t, ping)
					c.ackPing(t, pingData)
				}
				c.want(t, ended)
				if took := time.Since(start) - time.Minute; took != tt.cutTook {
					t.Errorf("the connection ends %v after the deadline, want %v", took, tt.cutTook)
				}
				<-drained
			})
		})
	}
}

// TestClientIsSentAwayAtTheDeadline has a spread that is longer than the drain: a client hears of it in time all the same, and a stream that was on its way is answered.
func TestClientIsSentAwayAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, true, &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(slow)}},
			listener.Options{Group: "web", Spread: time.Hour})
		first := newClient2(t, s.dialTLS(t, "h2")) // one of the two is told at once
		second := newClient2(t, s.dialTLS(t, "h2"))
		time.Sleep(time.Minute)
		go s.Drain(deadline(t, time.Minute))
		start := time.Now()
		for _, c := range []*client2{first, second} {
			c.want(t, goAway, ping)
		}
		for _, c := range []*client2{first, second} {
			c.get(t, 1, "/100ms")
			c.ackPing(t, pingData)
			c.wantAnswer(t, 1)
			c.want(t, ping)
			c.ackPing(t, pingData)
			c.want(t, ended)
		}
		if took := time.Since(start); took < time.Minute || took >= time.Minute+time.Second {
			t.Errorf("it took %v, want a minute and a part of a second", took)
		}
	})
}

// TestH2CHandlerIsNoWebSocket has x/net's deprecated handler hijack a connection: a goodbye would come into the midst of its frames.
func TestH2CHandlerIsNoWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := h2c.NewHandler(http.HandlerFunc(slow), new(http2.Server)) //nolint:staticcheck // programs have it
		s := serve(t, false, &httpx.Server{
			Server:        &http.Server{Handler: handler},
			DrainHijacked: func(net.Conn, *http.Request) { t.Error("DrainHijacked is called") },
		}, listener.Options{Group: "web"})
		for _, hello := range []string{
			"GET /1h HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
			http2.ClientPreface,
		} {
			conn := s.dial(t)
			if _, err := io.WriteString(conn, hello); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, bufio.NewReader(conn)) }()
		}
		synctest.Wait()
		s.StopAccepting()
		time.Sleep(time.Second)
	})
}
