package load_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

func TestHTTP2IsServed(t *testing.T) {
	target := serveHTTP(t, "tls", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("request by %s", r.Proto)
		}
		echo(w, r)
	}))
	for _, size := range []int{0, 1, 300_000} {
		c := closing[*load.HTTP2](t)(load.NewHTTP2(target, load.HTTP2Options{BodySize: size}))
		for i := range 3 {
			r := mustDo(t, c)
			if r.Dialed != (i == 0) || r.Reconnected || r.Generation != testGeneration {
				t.Errorf("exchange %d: %+v, want one connection, generation %d", i+1, r, testGeneration)
			}
		}
	}
}

func TestHTTP2PoolSharesOneConnection(t *testing.T) {
	const users = 8
	var together sync.WaitGroup // of the requests in flight
	together.Add(users)
	target := serveHTTP(t, "tls", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		together.Done()
		together.Wait() // all streams are open at once
		echo(w, r)
	}))
	pool, err := load.NewHTTP2Pool(target)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var done sync.WaitGroup
	var dialed atomic.Int64
	for range users {
		c := closing[*load.HTTP2](t)(load.NewHTTP2(load.Target{}, load.HTTP2Options{Pool: pool}))
		done.Go(func() {
			r, err := c.Do(t.Context())
			if err != nil || r.Reconnected {
				t.Errorf("Do = %+v, %v, want no error and no reconnect", r, err)
			}
			if r.Dialed {
				dialed.Add(1)
			}
		})
	}
	done.Wait()
	if got := dialed.Load(); got != 1 {
		t.Errorf("requests were sent on %d connections, want 1", got)
	}
	if got := pool.Connections(); got < 1 || got > users {
		t.Errorf("%d connections opened, want 1 to %d", got, users)
	}
}

func TestHTTP2RefusesOtherProtocols(t *testing.T) {
	server, client := testTLS(t, "http/1.1")
	target := serveConns(t, func(_ int, conn net.Conn) { tls.Server(conn, server).Handshake() })
	target.TLS = client
	mustFail(t, closing[*load.HTTP2](t)(load.NewHTTP2(target, load.HTTP2Options{})), "http2: ", "no application protocol")

	if _, err := load.NewHTTP2(load.Target{Network: "tcp", Address: "x:1"}, load.HTTP2Options{}); err == nil {
		t.Error("NewHTTP2 accepts a target without TLS")
	}
}

func TestHTTP2NoticesWrongAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "status 503"},
		{"no headers", func(w http.ResponseWriter, _ *http.Request) {}, "no header X-Gozd-Generation"},
		{"short body", func(w http.ResponseWriter, _ *http.Request) { mark(w) }, "body of 0 bytes, want the 128"},
		{"long body", func(w http.ResponseWriter, r *http.Request) { echo(w, r); io.WriteString(w, "!") }, "body of 129 bytes"},
		{"cut body", func(w http.ResponseWriter, _ *http.Request) {
			mark(w)
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "read body: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := closing[*load.HTTP2](t)(load.NewHTTP2(serveHTTP(t, "tls", tt.answer), load.HTTP2Options{}))
			mustFail(t, c, "http2: ", tt.want)
		})
	}
}

// h2Conn is one connection of a server that speaks HTTP/2 frame by frame.
type h2Conn struct {
	*http2.Framer
	n int // which connection
}

// serveH2 runs handle for every request whose body has been read.
func serveH2(t *testing.T, handle func(c h2Conn, stream uint32, body []byte)) load.Target {
	t.Helper()
	server, client := testTLS(t, "h2")
	target := serveConns(t, func(n int, raw net.Conn) {
		conn := tls.Server(raw, server)
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(conn, preface); err != nil {
			return
		}
		c := h2Conn{http2.NewFramer(conn, conn), n}
		c.WriteSettings()
		var body bytes.Buffer
		for {
			frame, err := c.ReadFrame()
			if err != nil {
				return
			}
			data, ok := frame.(*http2.DataFrame)
			if !ok {
				continue
			}
			body.Write(data.Data())
			if data.StreamEnded() {
				handle(c, data.StreamID, body.Bytes())
				body.Reset()
			}
		}
	})
	target.TLS = client
	return target
}

// answer sends a right answer on the stream.
func (c h2Conn) answer(stream uint32, body []byte) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	enc.WriteField(hpack.HeaderField{Name: "x-gozd-generation", Value: fmt.Sprint(c.n)})
	enc.WriteField(hpack.HeaderField{Name: "x-gozd-pid", Value: "7"})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
	c.WriteData(stream, true, body)
}

// Whatever the server says of a request that it was sent, the transport must
// not send it again: the answer counts, and it is a failure.
func TestHTTP2IsNeverRetried(t *testing.T) {
	tests := []struct {
		name   string
		refuse func(c h2Conn, stream uint32)
	}{
		{"GOAWAY before the stream", func(c h2Conn, stream uint32) { c.WriteGoAway(stream-2, http2.ErrCodeNo, nil) }},
		{"GOAWAY with an error", func(c h2Conn, stream uint32) { c.WriteGoAway(stream-2, http2.ErrCodeEnhanceYourCalm, nil) }},
		{"REFUSED_STREAM", func(c h2Conn, stream uint32) { c.WriteRSTStream(stream, http2.ErrCodeRefusedStream) }},
		{"PROTOCOL_ERROR", func(c h2Conn, stream uint32) { c.WriteRSTStream(stream, http2.ErrCodeProtocol) }},
		{"CANCEL", func(c h2Conn, stream uint32) { c.WriteRSTStream(stream, http2.ErrCodeCancel) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int64
			target := serveH2(t, func(c h2Conn, stream uint32, body []byte) {
				if requests.Add(1) == 2 {
					tt.refuse(c, stream)
					return
				}
				c.answer(stream, body)
			})
			c := closing[*load.HTTP2](t)(load.NewHTTP2(target, load.HTTP2Options{}))
			if _, err := c.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustFail(t, c, "http2: ", "request 2 of user")
			if got := requests.Load(); got != 2 {
				t.Errorf("the server was sent %d requests, want 2", got)
			}
			if r, err := c.Do(t.Context()); err != nil || r.Reconnected {
				t.Errorf("Do after the failure = %+v, %v, want a connection that was not planned", r, err)
			}
		})
	}
}

func TestHTTP2ReconnectsAfterGoAway(t *testing.T) {
	target := serveH2(t, func(c h2Conn, stream uint32, body []byte) {
		c.WriteGoAway(stream, http2.ErrCodeNo, nil) // the stream itself is still answered
		c.answer(stream, body)
	})
	c := closing[*load.HTTP2](t)(load.NewHTTP2(target, load.HTTP2Options{}))
	for i := range 3 {
		r, err := c.Do(t.Context())
		if err != nil || !r.Dialed || r.Reconnected != (i > 0) || r.Generation != i+1 {
			t.Errorf("exchange %d: %+v, %v, want a planned reconnect", i+1, r, err)
		}
	}
}

func TestHTTP2ConnectionLostIsAFailure(t *testing.T) {
	target := serveConns(t, func(_ int, conn net.Conn) { conn.Read(make([]byte, 1)) })
	_, target.TLS = testTLS(t, "h2")
	mustFail(t, closing[*load.HTTP2](t)(load.NewHTTP2(target, load.HTTP2Options{})), "http2: ")
}

func TestHTTP2DeadlineCutsExchange(t *testing.T) {
	target := hung(t)
	_, target.TLS = testTLS(t, "h2")
	c := closing[*load.HTTP2](t)(load.NewHTTP2(target, load.HTTP2Options{}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("Do = %v, want the deadline", err)
	}
}
