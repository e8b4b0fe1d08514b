//go:build unix

package listener_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// hoarding is a layer that has read something, and gives it when it is let.
type hoarding struct {
	net.Conn
	has        []byte
	asked, let chan struct{}
}

func (c *hoarding) Read(b []byte) (int, error) {
	close(c.asked)
	<-c.let
	return copy(b, c.has), nil
}

// A layer may give a request that it has read ahead just when the listener asks whether the connection is idle. It is not, whatever its adapter was
// before.
func TestLayerThatGivesWhileItIsLookedAt(t *testing.T) {
	old, next := generation(t, "tcp"), generation(t, "tcp")
	old.MoveIdle(&succession.Heir{Next: next})
	server, client := pair(t, old, to(old))
	outer := &hoarding{Conn: server, asked: make(chan struct{}), let: make(chan struct{})}
	var (
		l    listener.Layer
		got  <-chan reading
		give = sync.OnceFunc(func() {
			close(outer.let)
			if r := within(t, got, "Read of the layer"); r.text != "request" || r.err != nil {
				t.Errorf("the layer gives %q, %v", r.text, r.err)
			}
		})
	)
	l.Init(outer, server.(listener.Conn), func(n int) bool {
		if n < 0 {
			return false
		}
		give()
		return true
	})
	send(t, client, "request")
	b := make([]byte, 100)
	n, err := server.Read(b) // by the layer's own goroutine
	if err != nil {
		t.Fatal(err)
	}
	outer.has = bytes.Clone(b[:n])
	got = read(&l)
	<-outer.asked
	old.StopAccepting()
	send(t, client, "more")
	if n, err := server.Read(b); string(b[:n]) != "more" || err != nil {
		t.Errorf("the layer reads %q, %v: the connection has moved with a request in this process", b[:n], err)
	}
	give()
	if got := old.Stats(); got.Out != 0 {
		t.Errorf("Stats = %+v, want none out", got)
	}
}
