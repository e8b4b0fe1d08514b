//go:build unix

package httpx_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

func TestHijackedIsNotMoved(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		hijacked := make(chan net.Conn, 1)
		old, next := twoGenerations(t, network, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			hijacked <- conn
		})})
		c := old.client(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		conn := <-hijacked
		old.replaceBy(t, next)
		copied := make(chan error, 1)
		go func() { // as a proxy does; on TCP it reads past our Read
			_, err := io.Copy(conn, conn)
			conn.Close()
			copied <- err
		}()
		for range 3 {
			io.WriteString(c, "line\n")
			if line, err := c.br.ReadString('\n'); line != "line\n" {
				t.Errorf("%s: the handler says %q, %v, want the line", network, line, err)
			}
		}
		if got := old.Stats(); got.Out != 0 || got.Open != 1 {
			t.Errorf("%s: Stats = %+v, want it open here", network, got)
		}
		c.Close()
		if err := <-copied; err != nil {
			t.Errorf("%s: copy = %v", network, err)
		}
	}
}

// The drain begins while a proxy copies from a hijacked connection.
func TestDrainDuringACopyFromAHijackedConnection(t *testing.T) {
	hijacked, copied := make(chan struct{}), make(chan error, 1)
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		close(hijacked)
		_, err = io.Copy(conn, conn)
		copied <- err
	})})
	c := old.client(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-hijacked
	for i := range 20 {
		if i == 10 {
			old.replaceBy(t, next)
		}
		io.WriteString(c, "line\n")
		if line, err := c.br.ReadString('\n'); line != "line\n" {
			t.Fatalf("line %d: the handler says %q, %v", i, line, err)
		}
	}
	c.Close()
	if err := <-copied; err != nil {
		t.Errorf("copy = %v", err)
	}
}

func TestTLSIsNotMoved(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		old := &generation{
			Listener: listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "web", HandoverKey: "http web"}),
			http:     &httpx.Server{Server: &http.Server{Handler: by("old")}},
		}
		old.start(t, listener.NewTLS(old.Listener, serverTLS))
		next := newGeneration(t, "tcp", &http.Server{Handler: by("new")})
		conn := secure(t, old.client(t).Conn, proto)
		if proto == "h2" {
			c := newClient2(t, conn)
			c.get(t, 1, "/")
			c.wantAnswer(t, 1)
			old.replaceBy(t, next)
			c.want(t, goAway, ping)
			c.conn.Close()
		} else {
			c := newClient1(conn)
			c.get(t, "/", "")
			old.replaceBy(t, next)
			// The server may notice a moment later.
			eventually(t, "Connection: close", func() bool { return c.get(t, "/", "").Close })
			c.wantEOF(t)
		}
		if got := old.Stats().Out; got != 0 {
			t.Errorf("%s: %d connections moved, want none", proto, got)
		}
	}
}

// When the successor has gone, connections that have stayed are served, and closed
// with an answer that says so.
func TestSuccessorGoes(t *testing.T) {
	inHandler, release := make(chan struct{}, 2), make(chan struct{})
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inHandler <- struct{}{}
		<-release
		by("old").ServeHTTP(w, r)
	})})
	c := old.client(t)
	c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	<-inHandler
	old.replaceBy(t, next)
	next.succession.Vanish()
	close(release)
	c.wantBy(t, "old", "x")
	eventually(t, "no successor", func() bool { return !old.Moves() })
	eventually(t, "Connection: close", func() bool { // the server notices the drain a moment after the listener
		resp := c.get(t, "/", "")
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d, want 200", resp.StatusCode)
		}
		return resp.Close
	})
	c.wantEOF(t)
}

// A successor that has no descriptors left refuses connections. They stay for half of the time; then their clients are told with the next
// answer, and not cut at the deadline.
func TestRefusedConnectionEndsWithItsNextAnswer(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		old := newGeneration(t, network, &http.Server{Handler: by("old")})
		c := old.client(t)
		c.wantAnswer(t, "old: x")
		old.MoveIdle(&succession.Heir{Refuse: syscall.EMFILE})
		old.StopAccepting()
		for range 3 {
			c.wantAnswer(t, "old: x")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // at its end the connection is cut, and the client is not told
		defer cancel()
		go old.Drain(ctx)
		eventually(t, "Connection: close", func() bool { return c.get(t, "/", "").Close })
		c.wantEOF(t)
		if !old.Moves() {
			t.Errorf("%s: nothing moves any more, though only one connection was refused", network)
		}
	}
}

// A connection that was refused before its generation served again moves at the next upgrade as all others do.
func TestRefusedConnectionAfterAResume(t *testing.T) {
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: by("old")})
	c := old.client(t)
	c.wantAnswer(t, "old: x")
	heir := refusing(make(chan struct{}, 1))
	old.MoveIdle(heir)
	old.StopAccepting()
	<-heir
	if err := old.Resume(loopback.Listen(t, "tcp")); err != nil {
		t.Fatal(err)
	}
	c.wantAnswer(t, "old: x")
	old.replaceBy(t, next)
	old.wantMoved(t, 1)
	c.wantAnswer(t, "new: x")
}

// refusing is a successor that has a value when it has refused a connection. It waits for nobody to take the value.
type refusing chan struct{}

func (refusing) Takes(string) bool { return true }

// untaken is an error that says that the connection is not taken.
type untaken struct{ syscall.Errno }

func (untaken) Untaken() bool { return true }

func (r refusing) Move(string, []byte, syscall.Conn) error {
	select {
	case r <- struct{}{}:
	default:
	}
	return untaken{syscall.EMFILE}
}

// wantAnswer sends x, and wants an answer that does not end the connection.
func (c *client1) wantAnswer(t *testing.T, want string) {
	t.Helper()
	if got, err := c.post("x"); got != want || err != nil {
		t.Fatalf("answer %q, %v, want %q", got, err, want)
	}
}
