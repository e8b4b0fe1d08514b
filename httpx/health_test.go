package httpx_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

func TestHealth(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		ok           func(*http.Request) error
		drain        bool
		status       int
		body         string
	}{
		{name: "well", method: "GET", status: 200, body: "ok\n"},
		{name: "HEAD", method: "HEAD", status: 200, body: "ok\n"}, // net/http sends no body
		{name: "the program is well", method: "GET", ok: func(*http.Request) error { return nil }, status: 200, body: "ok\n"},
		{name: "the program is not", method: "GET", ok: func(*http.Request) error { return errors.New("no database") }, status: 503, body: "no database\n"},
		{name: "draining", method: "GET", drain: true, status: 503, body: "draining\n"},
		{name: "draining, and nobody asks the program", method: "GET", drain: true, ok: func(*http.Request) error { panic("asked") }, status: 503, body: "draining\n"},
		{name: "POST", method: "POST", status: 405, body: "Method Not Allowed\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := listener.New(memnet.Listen(), listener.Options{})
			defer func() { _ = ln.Close() }()
			h := httpx.Health(ln, tt.ok)
			if tt.drain {
				ln.Drain(t.Context())
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tt.method, "/healthz", nil))
			if w.Code != tt.status || w.Body.String() != tt.body || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %q %v, want %d %q", w.Code, w.Body, w.Header(), tt.status, tt.body)
			}
		})
	}
}

// A listener that is not gozd's has nothing to say.
func TestHealthOfAnyListener(t *testing.T) {
	ln := memnet.Listen()
	defer func() { _ = ln.Close() }()
	w := httptest.NewRecorder()
	httpx.Health(ln, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}
