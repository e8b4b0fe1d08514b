//go:build unix

package httpx_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// record is a ConnState hook that remembers.
type record struct {
	mu  sync.Mutex // guards all
	all []http.ConnState
}

func (r *record) hook(c net.Conn, s http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, s)
}

func (r *record) want(t *testing.T, who string, want ...http.ConnState) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s sees %v", who, want), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Equal(r.all, want)
	})
}

func TestProgramsConnStateOverAMove(t *testing.T) {
	var before, after record
	old := newGeneration(t, "tcp", &http.Server{Handler: by("old"), ConnState: before.hook})
	next := newGeneration(t, "tcp", &http.Server{Handler: by("new"), ConnState: after.hook})
	c := old.client(t)
	_, _ = c.post("x")
	before.want(t, "the old program", http.StateNew, http.StateActive, http.StateIdle)
	old.replaceBy(t, next)
	before.want(t, "the old program", http.StateNew, http.StateActive, http.StateIdle, http.StateClosed)
	after.want(t, "the new program") // it is parked
	_, _ = c.post("x")
	after.want(t, "the new program", http.StateNew, http.StateActive, http.StateIdle)
	c.Close()
	after.want(t, "the new program", http.StateNew, http.StateActive, http.StateIdle, http.StateClosed)
}

func TestTimeoutsOfMovedConnections(t *testing.T) {
	const timeout = 200 * time.Millisecond
	tests := []struct {
		name string
		srv  *http.Server
		sent string // after the move
		ends bool
		says string // what the server says before
	}{
		{"IdleTimeout while parked", &http.Server{IdleTimeout: timeout}, "", true, ""},
		{"ReadTimeout is its default", &http.Server{ReadTimeout: timeout}, "", true, ""},
		{"no IdleTimeout", &http.Server{IdleTimeout: -1, ReadTimeout: timeout}, "", false, ""},
		{"ReadHeaderTimeout does not count while parked", &http.Server{ReadHeaderTimeout: timeout}, "", false, ""},
		{"ReadHeaderTimeout in a header", &http.Server{ReadHeaderTimeout: timeout}, "GET / HT", true, "HTTP/1.1 400 Bad Request"}, // as net/http does
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.srv.Handler = by("new")
			old := newGeneration(t, "tcp", &http.Server{Handler: by("old")})
			next := newGeneration(t, "tcp", tt.srv)
			c := old.client(t)
			if _, err := c.post("x"); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			old.replaceBy(t, next)
			old.wantMoved(t, 1)
			io.WriteString(c, tt.sent)
			if !tt.ends {
				time.Sleep(2 * timeout)
				if got, err := c.post("y"); got != "new: y" || err != nil {
					t.Errorf("after twice the time: %q, %v, want an answer", got, err)
				}
				return
			}
			if rest, err := io.ReadAll(c.br); !strings.HasPrefix(string(rest), tt.says) || (tt.says == "" && len(rest) > 0) || err != nil {
				t.Errorf("the server says %q, %v, want %q and io.EOF", rest, err, tt.says)
			}
			if took := time.Since(start); took < timeout || took > timeout+5*time.Second {
				t.Errorf("it was closed after %v, want %v", took, timeout)
			}
		})
	}
}

// A handler's own deadline is kept while the drain wakes the background read.
func TestHandlersReadDeadlineOverADrain(t *testing.T) {
	for range 20 {
		inHandler, draining := make(chan struct{}), make(chan struct{})
		var early bool
		old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			close(inHandler)
			for done := false; !done; {
				select {
				case <-draining:
					done = true
				default:
				}
				if err := rc.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
			}
			early = r.Context().Err() != nil
			io.WriteString(w, "old: ")
		})})
		c := old.client(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-inHandler
		old.replaceBy(t, next)
		close(draining)
		c.wantBy(t, "old", "")
		if early {
			t.Error("the request's context was canceled")
		}
		old.wantMoved(t, 1)
		if got, err := c.post("x"); got != "new: x" || err != nil {
			t.Errorf("the next request: %q, %v", got, err)
		}
	}
}
