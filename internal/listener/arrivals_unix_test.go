//go:build unix

package listener_test

import (
	"errors"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// arrival returns an adopted connection of HTTP/2 that has come as a says, and its client.
func arrival(t *testing.T, ln *listener.Listener, a listener.Arrival) (client net.Conn) {
	t.Helper()
	inner := raw(t, "tcp")
	server, client := pair(t, inner, to(inner))
	own, err := succession.Duplicate(server.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	defer ln.Arrivals().Admit(listener.HTTP2Way, func([]byte) (listener.Arrival, error) { return a, nil })()
	answered, err := ln.Arrivals().Reserve("h2 http web", own, []byte("state"))
	if err != nil {
		t.Fatal(err)
	}
	answered(nil)
	return client
}

// A connection that comes waits for its client, unless that waits already, and is returned at the end of its idle timeout.
func TestHTTP2Arrives(t *testing.T) {
	for _, tt := range []struct {
		name   string
		how    listener.Arrival
		idle   time.Duration
		speaks bool // later
		over   bool
	}{
		{"its client waits", listener.Arrival{Speaks: true, HTTP2: true}, 0, false, false},
		{"its client speaks", listener.Arrival{HTTP2: true}, 0, true, false},
		{"its client is silent", listener.Arrival{HTTP2: true}, 20 * time.Millisecond, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := generation(t, "tcp")
			ln.SetIdleTimeout(tt.idle)
			conns := accepted(ln)
			client := arrival(t, ln, tt.how)
			if tt.speaks {
				send(t, client, "x")
			}
			c := within(t, conns, "Accept")
			if got := listener.IsOver(c); got != tt.over {
				t.Errorf("IsOver = %v, want %v", got, tt.over)
			}
			if got := listener.Take(c, listener.HTTP2Way); string(got) != "state" {
				t.Errorf("Take = %q", got)
			}
			if got := listener.Take(c, listener.HTTP2Way); got != nil {
				t.Errorf("the second Take = %q", got)
			}
		})
	}
}

// Nobody gets a connection that nobody serves, or that is not admitted; whoever has stopped takes nothing from who came after.
func TestHTTP2ThatNobodyTakes(t *testing.T) {
	ln := generation(t, "tcp")
	no := func(err error) listener.Admission {
		return func([]byte) (listener.Arrival, error) { return listener.Arrival{}, err }
	}
	refused := func(want error) {
		t.Helper()
		if _, err := ln.Arrivals().Reserve("h2 http web", nil, nil); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("Reserve = %v, want %v", err, want)
		}
	}
	refused(nil)
	first, second := errors.New("first"), errors.New("second")
	stop := ln.Arrivals().Admit(listener.HTTP2Way, no(first))
	refused(first)
	stopSecond := ln.Arrivals().Admit(listener.HTTP2Way, no(second))
	stop()
	refused(second)
	stopSecond()
	refused(nil)
}

// What is offered by a key that is none of the listener's is refused, and a connection on which nothing has been said has no state.
func TestKeys(t *testing.T) {
	plain, _ := inMemory(listener.Options{HandoverKey: "http web"})
	secure, _ := inMemory(listener.Options{SilentKey: "https web", SealedKey: "https (TLS 1) web"})
	none, _ := inMemory(listener.Options{})
	for _, tt := range []struct {
		ln   *listener.Listener
		want []string
	}{
		{plain, []string{"http web", "h2 http web", "hijacked http web"}},
		{secure, []string{"https web", "https (TLS 1) web"}},
		{none, nil},
	} {
		if got := tt.ln.Arrivals().Keys(); !slices.Equal(got, tt.want) {
			t.Errorf("Keys = %q, want %q", got, tt.want)
		}
		for _, key := range []string{"", "h2 ", "tcp web"} {
			if _, err := tt.ln.Arrivals().Reserve(key, nil, nil); err == nil {
				t.Errorf("key %q of a listener that has %q is taken", key, tt.want)
			}
		}
	}
	if _, err := secure.Arrivals().Reserve("https web", nil, []byte("state")); err == nil {
		t.Error("a silent connection is taken with a state")
	}
}
