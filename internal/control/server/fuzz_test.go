package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
)

// requests are good ones and bad ones.
var requests = []string{
	"", "\r\n\r\n", "GET", "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /v1/status HTTP/1.1\r\nHost: gozd\r\n\r\n",
	"GET /v1/status?alone=yes HTTP/1.0\r\n\r\nGET /metrics HTTP/1.0\r\n\r\n",
	"GET /v1/drain HTTP/1.1\r\nHost: gozd\r\n\r\n",
	"POST /v1/upgrade?drain=no HTTP/1.1\r\nHost: gozd\r\nContent-Length: 2\r\n\r\n{}",
	"POST /v1/stop HTTP/1.1\r\nHost: gozd\r\nContent-Length: 99999\r\n\r\nx",
	"POST /v1/quit HTTP/1.1\r\nHost: gozd\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
	"POST /v1/reopen HTTP/1.1\r\nHost: gozd\r\nTransfer-Encoding: gzip\r\n\r\n",
	"POST /v1/rollback HTTP/1.1\r\nHost: gozd\r\nExpect: more\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: gozd\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://[::1 HTTP/1.1\r\n\r\n", "GET /v1/status?alone=%zz HTTP/1.1\r\nHost: gozd\r\n\r\n",
	"GET /v1/status HTTP/1.1\r\nHost: gozd\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
	"GET /" + strings.Repeat("x", 20000) + " HTTP/1.1\r\nHost: gozd\r\n\r\n",
}

// FuzzServer sends whatever it is to a server, and then no more. The server answers what
// makes no sense by 4xx, and nothing makes it hang. Two statuses of net/http's own are the exception, where
// the standard wants them: 501 for another transfer encoding than chunked, 505 for another HTTP.
func FuzzServer(f *testing.F) {
	for _, seed := range requests {
		f.Add([]byte(seed))
	}
	fake := hasDrained()
	s := open(f, fake, server.Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := net.Dial("unix", s.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() { // the server may have stopped to read
			defer close(sent)
			_, _ = c.Write(data)
			_ = c.(*net.UnixConn).CloseWrite()
		}()
		checkAnswers(t, c)
		c.Close()
		<-sent
	})
}

// hasDrained is a daemon whose streams end.
func hasDrained() *fakeDaemon {
	fake := newFake()
	close(fake.draining)
	close(fake.drained)
	fake.progress(protocol.Event{Type: protocol.Drained})
	return fake
}

// FuzzRequests is FuzzServer without sockets, which is some hundred times as fast: net/http reads the request,
// and what this package makes of it is tested.
func FuzzRequests(f *testing.F) {
	for _, seed := range requests {
		f.Add([]byte(seed))
	}
	fake := hasDrained()
	h := server.HandlerOf(fake)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		asked := fake.told()
		fake.asked = nil
		switch {
		case w.Code >= 500:
			t.Errorf("answer %d: %s", w.Code, w.Body)
		case asked != "" && r.Method != http.MethodPost:
			t.Errorf("%s %s does: %s", r.Method, r.URL, asked)
		case strings.Contains(asked, " "):
			t.Errorf("one request does: %s", asked)
		case w.Body.Len() == 0 && r.Method != http.MethodHead:
			t.Errorf("%s %s has an empty answer %d", r.Method, r.URL, w.Code)
		}
	})
}

// checkAnswers reads what is answered until the connection's end.
func checkAnswers(t *testing.T, c net.Conn) {
	t.Helper()
	for r := bufio.NewReader(c); ; {
		resp, err := http.ReadResponse(r, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
			return
		}
		if err != nil {
			t.Fatalf("answer: %v", err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("answer %s: %v", resp.Status, err)
		}
		switch code := resp.StatusCode; {
		case code == http.StatusNotImplemented, code == http.StatusHTTPVersionNotSupported:
		case code >= 500:
			t.Fatalf("answer %s", resp.Status)
		}
	}
}
