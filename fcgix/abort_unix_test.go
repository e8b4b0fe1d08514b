//go:build unix

package fcgix_test

import (
	"io"
	"net/http"
	"testing"
)

// A request that is aborted while its input comes is ended at once, and its handler writes on: until it returns, too, the connection is
// this generation's.
func TestAbortedRequestStaysUntilItsHandlerReturns(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	old := newGeneration(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 4))
		close(begun)
		<-release
		_, _ = w.Write(make([]byte, 8<<20))
	})
	next := newGeneration(t, "tcp", as("new"))
	c := old.client(t)
	const abort = 2
	wire := request(1, true, "/", []byte("body"))
	c.Write(wire[:len(wire)-8]) // all but the end of STDIN
	<-begun
	c.Write([]byte{1, abort, 0, 1, 0, 0, 0, 0})
	if r, err := c.answers.Response(1); err == nil || r != nil {
		t.Fatalf("an answer to an aborted request: %v, %v", r, err)
	}
	old.replaceBy(t, next)
	old.wantStays(t, "while the handler ran")
	close(release)
	r, err := c.answers.Response(1)
	if err != nil || len(r.Body) != 8<<20 {
		t.Fatalf("what the handler has written: %v", err)
	}
	old.wantMoved(t, 1)
	c.send(request(1, true, "/", nil))
	c.want(t, 1, "new: ")
}
