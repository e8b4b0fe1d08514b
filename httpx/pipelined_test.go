package httpx_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
)

const (
	atOnce  = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
	aMinute = "GET /1m HTTP/1.1\r\nHost: example.com\r\n\r\n"
	posted  = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello"
	chunked = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)

// getLater is get when the server waits for a request: before that one could come to it behind those that it answers.
func (c *client1) getLater(t *testing.T, header string) *http.Response {
	t.Helper()
	synctest.Wait()
	return c.get(t, "/", header)
}

// wantAll wants n answers, and that the connection is open after them.
func (c *client1) wantAll(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if resp := c.response(t); resp.StatusCode != http.StatusOK || (resp.Close && i < n-1) {
			t.Fatalf("answer %d of %d: status %d, Connection: close %v", i+1, n, resp.StatusCode, resp.Close)
		}
	}
}

// TestPipelinedOverTLS has clients send ten requests in one record, before the drain and in it: all are answered, and a request
// after them has an answer that says Connection: close.
func TestPipelinedOverTLS(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first string
		drain time.Duration // after the first record
		asked int           // requests before
	}{
		{"the first is being answered", aMinute, time.Second, 0},
		{"the first is being answered, on a used connection", aMinute, time.Second, 1},
		{"draining already", atOnce, -time.Second, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
				c := newClient1(secure(t, s.dial(t), "http/1.1"))
				for range tt.asked {
					c.getLater(t, "")
				}
				time.AfterFunc(time.Minute/2+tt.drain, s.StopAccepting)
				time.Sleep(time.Minute / 2)
				if tt.drain < 0 {
					<-s.Draining()
					synctest.Wait()
				}
				c.write(tt.first + strings.Repeat(atOnce, 9))
				c.wantAll(t, 10)
				if resp := c.getLater(t, ""); !resp.Close {
					t.Error("the next answer does not say Connection: close")
				}
				c.wantEOF(t)
			})
		})
	}
}

// TestPipelinedBodiesOverTLS has clients send requests with bodies while the server drains, several at once: all are answered, and a request after
// them has an answer that says Connection: close.
func TestPipelinedBodiesOverTLS(t *testing.T) {
	long := fmt.Sprintf("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 100_000))
	for _, tt := range []struct {
		name  string
		fresh bool // nothing was asked before
		sent  []string
	}{
		{"POST, GET", false, []string{posted, atOnce}},
		{"GET, POST, GET", false, []string{atOnce, posted, atOnce}},
		{"three times POST", false, []string{posted, posted, posted}},
		{"in chunks", false, []string{chunked, posted, chunked}},
		{"long", false, []string{long, long, atOnce}},
		{"on a fresh connection", true, []string{posted, atOnce}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
				c := newClient1(secure(t, s.dial(t), "http/1.1"))
				if !tt.fresh {
					c.getLater(t, "")
				}
				s.drain(t)
				for range 2 { // again, as what was guessed of the first must not count for the second
					synctest.Wait()
					c.write(strings.Join(tt.sent, ""))
					c.wantAll(t, len(tt.sent))
				}
				if resp := c.getLater(t, ""); !resp.Close {
					t.Error("the next answer does not say Connection: close")
				}
				c.wantEOF(t)
			})
		})
	}
}

// TestBodiesOneAtATimeOverTLS counts the answers to a client that waits for each: one whose request comes whole is told at once, and one whose body comes later
// with the answer to the next.
func TestBodiesOneAtATimeOverTLS(t *testing.T) {
	header, body, _ := strings.Cut(posted, "hello")
	body = "hello" + body
	for _, tt := range []struct {
		name string
		sent []string // a request, by records
		want int
	}{
		{"GET", []string{atOnce}, 1},
		{"POST", []string{posted}, 1},
		{"the body in a record of its own", []string{header, body}, 2},
		{"in chunks", []string{chunked}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
				c := newClient1(secure(t, s.dial(t), "http/1.1"))
				c.getLater(t, "")
				s.drain(t)
				for n := 1; ; n++ {
					synctest.Wait()
					go func() {
						for _, record := range tt.sent {
							_, _ = io.WriteString(c, record)
						}
					}()
					if resp := c.response(t); resp.Close != (n == tt.want) {
						t.Fatalf("answer %d says Connection: close: %v, want that of answer %d", n, resp.Close, tt.want)
					} else if resp.Close {
						break
					}
				}
				c.wantEOF(t)
			})
		})
	}
}

// TestPipelinedInSeveralRecords has the second request in a record of its own, behind a first that is being answered.
func TestPipelinedInSeveralRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		c := newClient1(secure(t, s.dial(t), "http/1.1"))
		c.getLater(t, "")
		c.write(aMinute)
		time.Sleep(time.Second)
		c.write(atOnce)
		time.Sleep(time.Second)
		s.drain(t)
		c.wantAll(t, 2)
		if resp := c.getLater(t, ""); !resp.Close {
			t.Error("the next answer does not say Connection: close")
		}
		c.wantEOF(t)
	})
}

// TestUnusualSpelling has a client whose requests are longer than others write them: what looks like another request keeps the
// connection for one more answer only.
func TestUnusualSpelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{Handler: http.HandlerFunc(slow)})
		c := newClient1(secure(t, s.dial(t), "http/1.1"))
		c.getLater(t, "")
		s.drain(t)
		wide := "X-Wide:" + strings.Repeat(" ", 100) + "1\r\n"
		if resp := c.getLater(t, wide); resp.Close {
			t.Error("the first answer says Connection: close: it is not tried what this test is about")
		}
		if resp := c.getLater(t, wide); !resp.Close {
			t.Error("the second answer does not say Connection: close")
		}
		c.wantEOF(t)
	})
}

// TestPipelinedAtStop is the same on sockets, in the clear and over TLS, with nobody who takes over: idle connections end, and others are told to close.
func TestPipelinedAtStop(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secured), func(t *testing.T) {
			began, goOn := make(chan struct{}), make(chan struct{})
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					close(began)
					<-goOn
				}
				_, _ = io.WriteString(w, "done")
			})
			gozd := listener.New(loopback.Listen(t, "tcp"), listener.Options{})
			var ln net.Listener = gozd
			if secured {
				ln = listener.NewTLS(gozd, serverTLS.Clone())
			}
			served := make(chan error, 1)
			go func() { served <- httpx.Serve(ln, handler) }()
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if secured {
				conf := clientTLS.Clone()
				conf.NextProtos = []string{"http/1.1"}
				conn = tls.Client(conn, conf)
			}
			c := newClient1(conn)
			if _, err := io.WriteString(c, aMinute+strings.Repeat(atOnce, 9)); err != nil {
				t.Fatal(err)
			}
			<-began
			gozd.CloseIdle()
			gozd.StopAccepting()
			close(goOn)
			c.wantAll(t, 10)
			c.wantEOF(t)
			wantClosed(t, served)
		})
	}
}
