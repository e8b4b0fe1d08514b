//go:build unix

package fcgix_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/recvq"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// generation is a server that takes connections from the one before.
type generation struct {
	*server
	succession *succession.Generation
}

func newGeneration(t *testing.T, network string, h http.HandlerFunc) *generation {
	t.Helper()
	s := onSocket(t, network, h)
	return &generation{s, succession.New(t, s.Listener)}
}

// replaceBy begins the drain of g, whose idle connections move to next.
func (g *generation) replaceBy(t *testing.T, next *generation) {
	t.Helper()
	g.succession.ReplaceBy(t, next.succession)
}

// wantMoved wants the drain to end because all n connections have moved.
func (g *generation) wantMoved(t *testing.T, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := g.Drain(ctx)
	if got := g.Stats(); r.Cut != 0 || r.Ended != 0 || got.Out != n {
		t.Errorf("Drain = %+v, Stats = %+v, want %d moved", r, got, n)
	}
}

// wantStays wants no connection to move: nothing says that it will not, so it looks for a moment.
func (g *generation) wantStays(t *testing.T, how string) {
	t.Helper()
	for range 10 {
		if g.Stats().Out != 0 {
			t.Fatal("it moved " + how)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// as answers with the generation's name and the body.
func as(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, name+": ")
		echo(w, r)
	}
}

// sizes are those of the bodies in turn.
var sizes = []int{0, 1, 200_000}

func TestIdleConnectionMoves(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			g := newGeneration(t, network, as("0"))
			c := g.client(t)
			c.send(request(1, true, "/", nil))
			c.want(t, 1, "0: ")
			for move := 1; move <= 50; move++ {
				name := fmt.Sprint(move)
				next := newGeneration(t, network, as(name))
				g.replaceBy(t, next)
				g.wantMoved(t, 1)
				body := bytes.Repeat([]byte("x"), sizes[move%len(sizes)])
				c.send(request(uint16(move), true, "/", body))
				c.want(t, uint16(move), name+": "+string(body))
				g = next
			}
		})
	}
}

func TestBusyConnectionMovesAfterItsAnswer(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			begun, draining := make(chan struct{}), make(chan struct{})
			busy := func(name string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					begun <- struct{}{}
					<-draining
					as(name)(w, r)
				}
			}
			g := newGeneration(t, network, busy("0"))
			c := g.client(t)
			for move := 1; move <= 50; move++ {
				_ = c.SetDeadline(time.Now().Add(30 * time.Second)) // for each, however busy the machine is
				body := bytes.Repeat([]byte("x"), sizes[move%len(sizes)])
				c.send(request(1, true, "/", body))
				<-begun
				next := newGeneration(t, network, busy(fmt.Sprint(move)))
				g.replaceBy(t, next)
				if got := g.Stats(); got.Out != 0 {
					t.Fatalf("Stats = %+v: it moved with a request under way", got)
				}
				draining <- struct{}{}
				c.want(t, 1, fmt.Sprintf("%d: %s", move-1, body))
				g.wantMoved(t, 1)
				g = next
			}
		})
	}
}

// A web server sends one request after the other, whatever happens.
func TestBackToBackOverMoves(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			g := newGeneration(t, network, echo)
			c := g.client(t)
			c.send(request(1, true, "/", nil))
			c.want(t, 1, "")
			stop, stopped := make(chan struct{}), make(chan int)
			go func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						stopped <- n
						return
					default:
					}
					body := bytes.Repeat([]byte{'a' + byte(n%26)}, sizes[n%len(sizes)])
					c.send(request(1, true, "/", body))
					r, err := c.answers.Response(1)
					if err != nil || !bytes.Equal(r.Body, body) {
						t.Errorf("request %d: %v, %v", n, r, err)
						stopped <- n
						return
					}
				}
			}()
			for range 50 {
				next := newGeneration(t, network, echo)
				g.replaceBy(t, next)
				g.wantMoved(t, 1)
				g = next
			}
			close(stop)
			t.Logf("%d requests", <-stopped)
		})
	}
}

// A successor that has no descriptors left refuses connections. They stay for half of the time; then the web server is told by the end of the
// next answer, and not cut at the deadline between two requests.
func TestRefusedConnectionEndsWithItsNextAnswer(t *testing.T) {
	g := newGeneration(t, "unix", as("0"))
	c := g.client(t)
	c.send(request(1, true, "/", nil))
	c.want(t, 1, "0: ")
	heir := refusing(make(chan struct{}, 1))
	g.MoveIdle(heir)
	g.StopAccepting()
	<-heir
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // at its end the connection is cut
	defer cancel()
	go g.Drain(ctx)
	for ctx.Err() == nil { // it stays for half of that
		c.send(request(1, true, "/", nil))
		c.want(t, 1, "0: ")
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	}
	t.Error("no answer has ended the connection")
}

// refusing is a successor that has a value when it has refused a connection. It waits for nobody to take the value.
type refusing chan struct{}

func (refusing) Takes(string) bool { return true }

func (r refusing) Move(string, []byte, syscall.Conn) error {
	select {
	case r <- struct{}{}:
	default:
	}
	return syscall.EMFILE
}

func TestUnusedConnectionMoves(t *testing.T) {
	old, next := newGeneration(t, "unix", as("old")), newGeneration(t, "unix", as("new"))
	c := old.client(t)
	for old.Stats().Accepted == 0 {
		time.Sleep(time.Millisecond)
	}
	old.replaceBy(t, next)
	old.wantMoved(t, 1)
	c.send(request(1, true, "/", nil))
	c.want(t, 1, "new: ")
}

// Half a record, or half a request, is for this generation to finish.
func TestBegunRequestStays(t *testing.T) {
	wire := request(1, true, "/", []byte("body"))
	for _, sent := range []int{1, 8, 15, 16, 20, len(wire) - 8, len(wire) - 1} {
		t.Run(fmt.Sprintf("%d bytes", sent), func(t *testing.T) {
			old, next := newGeneration(t, "tcp", as("old")), newGeneration(t, "tcp", as("new"))
			c := old.client(t)
			c.send(request(7, true, "/", nil))
			c.want(t, 7, "old: ")
			c.Write(wire[:sent])
			// What is still in the kernel would rightly move.
			recvq.AwaitEmpty(t, c)
			old.replaceBy(t, next)
			old.wantStays(t, "with half a request")
			c.Write(wire[sent:])
			c.want(t, 1, "old: body")
			old.wantMoved(t, 1)
			c.send(wire)
			c.want(t, 1, "new: body")
		})
	}
}

// Of two requests at a time the last answer lets the connection go.
func TestMovesAfterTheLastOfTwoAnswers(t *testing.T) {
	begun := make(chan struct{}, 2)
	release := map[string]chan struct{}{"/1": make(chan struct{}), "/2": make(chan struct{})}
	old := newGeneration(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-release[r.URL.Path]
		io.WriteString(w, r.URL.Path)
	})
	next := newGeneration(t, "tcp", as("new"))
	c := old.client(t)
	c.Write(request(1, true, "/1", nil))
	c.Write(request(2, true, "/2", nil))
	<-begun
	<-begun
	old.replaceBy(t, next)
	close(release["/2"])
	c.want(t, 2, "/2")
	if old.Stats().Out != 0 {
		t.Error("it moved before the other answer")
	}
	close(release["/1"])
	c.want(t, 1, "/1")
	old.wantMoved(t, 1)
	c.send(request(3, true, "/", nil))
	c.want(t, 3, "new: ")
}

func TestWithoutKeepConnIsAnsweredAndClosed(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, size := range sizes {
			begun, draining := make(chan struct{}), make(chan struct{})
			old := newGeneration(t, network, func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				<-draining
				as("old")(w, r)
			})
			next := newGeneration(t, network, as("new"))
			c := old.client(t)
			body := bytes.Repeat([]byte("x"), size)
			c.send(request(1, false, "/", body))
			<-begun
			old.replaceBy(t, next)
			close(draining)
			c.want(t, 1, "old: "+string(body))
			c.wantEOF(t)
			c.Close()
			if r := old.Drain(t.Context()); r.Cut != 0 || old.Stats().Out != 0 {
				t.Errorf("%s %d bytes: Drain = %+v, want that it ended", network, size, r)
			}
		}
	}
}

// The handler answers without having read the body: what is left of it may reach
// the next generation, which must not mind.
func TestBodyThatNobodyReads(t *testing.T) {
	answered := make(chan struct{}, 1)
	old := newGeneration(t, "tcp", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "old: ")
		answered <- struct{}{}
	})
	next := newGeneration(t, "tcp", as("new"))
	c := old.client(t)
	wire := request(1, true, "/", bytes.Repeat([]byte("x"), 200_000))
	const first = 70_000
	c.Write(wire[:first]) // in the midst of a record
	<-answered
	old.replaceBy(t, next)
	c.want(t, 1, "old: ")
	c.send(append(wire[first:], request(2, true, "/", []byte("y"))...))
	r, err := c.answers.Response(2)
	if err != nil || (string(r.Body) != "new: y" && string(r.Body) != "old: ") {
		t.Errorf("the next answer: %v, %v", r, err)
	}
}

// TLS around a connection cannot move, also when the drain begins while one of its
// records is being written, the last included.
func TestDrainDuringAWriteUnderTLS(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	for reads := range 5 { // of the client, before the drain
		synctest.Test(t, func(t *testing.T) {
			mem := memnet.Listen()
			ln := listener.New(mem, listener.Options{})
			served := make(chan error, 1)
			go func() {
				served <- fcgix.Serve(listener.NewTLS(ln, &tls.Config{Certificates: srv.TLS.Certificates}), http.HandlerFunc(echo))
			}()
			below, err := mem.Dial()
			if err != nil {
				t.Fatal(err)
			}
			conn := tls.Client(below, &tls.Config{InsecureSkipVerify: true})
			defer conn.Close()
			go conn.Write(request(1, true, "/", []byte("body")))
			synctest.Wait()
			var got []byte
			for range reads {
				b := make([]byte, 4096)
				n, err := conn.Read(b)
				if err != nil {
					break
				}
				got = append(got, b[:n]...)
				synctest.Wait() // the next write waits for us to read
				const end = 16  // END_REQUEST
				if len(got) > end && got[len(got)-end+1] == 3 {
					break
				}
			}
			ln.StopAccepting()
			synctest.Wait()
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			r, err := load.NewFCGIReader(io.MultiReader(bytes.NewReader(got), conn)).Response(1)
			if err != nil || string(r.Body) != "body" {
				t.Errorf("%d reads: answer %v, %v, want the body", reads, r, err)
			}
			conn.Close()
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve = %v, want net.ErrClosed", err)
			}
		})
	}
}
