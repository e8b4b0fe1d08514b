package httpx_test

import (
	"io"
	"maps"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

// addressed is a listener that gozd's can be found below.
type addressed struct{ *memnet.Listener }

func (addressed) Addr() net.Addr { return &net.TCPAddr{} }

// concealing is a listener whose connections show nobody what they are over.
type concealing struct{ net.Listener }

func (l concealing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return concealed{c}, nil
}

type concealed struct{ anonymous }

type anonymous interface{ net.Conn }

// Where nobody learns when a connection is closed, it is forgotten when its handler returns, whether it is open then or not: else a server
// would keep each for ever.
func TestGoodbyesWhereNobodyLearnsOfTheEnd(t *testing.T) {
	gozd := func(ln net.Listener) net.Listener { return listener.New(ln, listener.Options{}) }
	for _, tt := range []struct {
		name string
		over func(net.Listener) net.Listener
		want map[string]int
	}{
		{"known", gozd, map[string]int{"left": 1, "waiting": 1}},
		{"hidden by a layer", func(ln net.Listener) net.Listener { return concealing{gozd(ln)} }, map[string]int{"waiting": 1}},
		{"of another listener", func(ln net.Listener) net.Listener { return ln }, map[string]int{"waiting": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if said := goodbyesOn(t, tt.over); !maps.Equal(said, tt.want) {
					t.Errorf("goodbyes to %v, want %v", said, tt.want)
				}
			})
		})
	}
}

// goodbyesOn has a server serve what over returns beside a listener of gozd's, which drains when there are some connections on the former.
func goodbyesOn(t *testing.T, over func(net.Listener) net.Listener) map[string]int {
	t.Helper()
	said, left := make(chan string, 10), make(chan net.Conn, 1)
	s := serve(t, false, &httpx.Server{
		Server:        &http.Server{Handler: leaveBehind(left)},
		DrainHijacked: func(_ net.Conn, r *http.Request) { said <- r.URL.Path[1:] },
	}, listener.Options{Release: make(chan struct{})}) // else Serve returns at once, and with the last the drain is over
	synctest.Wait()
	s.mem = memnet.Listen()
	ln, served := over(addressed{s.mem}), make(chan error, 1)
	go func() { served <- s.http.Serve(ln) }()
	defer func() {
		_ = ln.Close()
		wantClosed(t, served)
	}()
	for _, name := range []string{"closed", "left", "waiting"} {
		c := s.connect(t, false)
		c.upgrade(t, "/"+name)
		defer c.Close()
	}
	defer func() { _ = (<-left).Close() }()
	synctest.Wait() // handlers have returned
	s.StopAccepting()
	synctest.Wait()
	names := make(map[string]int)
	for range len(said) {
		names[<-said]++
	}
	return names
}

// leaveBehind hijacks, and then closes the connection, leaves it to others, or waits for its client's end.
func leaveBehind(left chan<- net.Conn) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n")
		if r.URL.Path == "/left" {
			left <- c
			return
		}
		if r.URL.Path == "/waiting" {
			_, _ = io.Copy(io.Discard, c)
		}
		_ = c.Close()
	}
}
