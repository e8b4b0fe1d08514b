package listener_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// starvedListener gets a processor only when its deadline has passed.
type starvedListener struct{ *net.TCPListener }

func (l starvedListener) Accept() (net.Conn, error) {
	time.Sleep(15 * time.Millisecond)
	return l.TCPListener.Accept()
}

// TestEmptyQueueWithoutProcessor has every Accept begin when the moment is over that the next client has: a queue in which
// somebody waits is not empty.
func TestEmptyQueueWithoutProcessor(t *testing.T) {
	const clients = 10
	inner, ok := raw(t, "tcp").(*net.TCPListener)
	if !ok {
		t.Fatal("not a TCP listener")
	}
	ln := listener.New(starvedListener{inner}, listener.Options{})
	for i := range clients {
		c, err := to(ln)()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "%d\n", i)
	}
	ln.EmptyQueue()
	ln.StopAccepting()
	for i := range clients {
		c, err := ln.Accept()
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		_ = c.Close()
	}
}
