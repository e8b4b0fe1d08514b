//go:build unix

package httpx_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/recvq"
)

func TestBackToBackPostsOverMoves(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const moves, clients = 50, 4
			g := newGeneration(t, network, &http.Server{Handler: by("0")})
			stop := make(chan struct{})
			requests := make([]int, clients)
			seen := make([]map[string]bool, clients)
			var posting sync.WaitGroup
			for i := range clients {
				c := g.client(t)
				if _, err := c.post("first"); err != nil { // the sockets are not shared: it must be accepted
					t.Fatal(err)
				}
				seen[i] = make(map[string]bool)
				posting.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							requests[i] = n
							return
						default:
						}
						body := fmt.Sprintf("%d/%d", i, n)
						got, err := c.post(body)
						name, answer, _ := strings.Cut(got, ": ")
						if err != nil || answer != body {
							t.Errorf("client %d request %d: %q, %v", i, n, got, err)
							return
						}
						seen[i][name] = true
					}
				})
			}
			for move := range moves {
				next := newGeneration(t, network, &http.Server{Handler: by(fmt.Sprint(move + 1))})
				g.replaceBy(t, next)
				if r := g.Drain(deadline(t, 20*time.Second)); r.Cut != 0 || r.Ended != 0 {
					t.Errorf("move %d: Drain = %+v, want all moved", move, r)
				}
				g = next
			}
			close(stop)
			posting.Wait()
			for i := range clients {
				if len(seen[i]) < 2 {
					t.Errorf("client %d saw generations %v, want several", i, seen[i])
				}
			}
			t.Logf("requests: %d", requests)
		})
	}
}

func TestUnusedConnectionMoves(t *testing.T) {
	for i, network := range []string{"tcp", "unix", "tcp", "unix"} {
		old, next := twoGenerations(t, network, &http.Server{Handler: by("old"), ReadHeaderTimeout: time.Minute, Protocols: unencrypted(i >= 2)})
		c := old.client(t)
		eventually(t, "accepted", func() bool { return old.Stats().Accepted == 1 })
		old.replaceBy(t, next)
		old.wantMoved(t, 1)
		c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
		c.wantBy(t, "new", "x")
	}
}

func TestBegunRequestIsAnsweredFirst(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	for _, used := range []bool{false, true} {
		for _, sent := range []int{1, 3, 14, 20, 24, 40, len(request) - 5, len(request) - 1} {
			t.Run(fmt.Sprintf("used %v %d bytes", used, sent), func(t *testing.T) {
				old, next := twoGenerations(t, "tcp", &http.Server{Handler: by("old"), Protocols: unencrypted(sent%2 == 0)})
				c := old.client(t)
				if used {
					if got, err := c.post("x"); got != "old: x" || err != nil {
						t.Fatal(got, err)
					}
				}
				io.WriteString(c, request[:sent])
				recvq.AwaitEmpty(t, c)
				old.replaceBy(t, next)
				old.wantNotMoved(t, "with half a request")
				io.WriteString(c, request[sent:])
				c.wantBy(t, "old", "body")
				old.wantMoved(t, 1)
				io.WriteString(c, request)
				c.wantBy(t, "new", "body")
			})
		}
	}
}

func TestPipelinedRequestIsAnsweredByTheOld(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		inHandler, release := make(chan struct{}, 3), make(chan struct{})
		old, next := twoGenerations(t, network, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inHandler <- struct{}{}
			<-release
			by("old").ServeHTTP(w, r)
		})})
		c := old.client(t)
		const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
		c.write(request + "1" + request + "2" + request + "3")
		<-inHandler
		old.replaceBy(t, next)
		close(release)
		for _, body := range []string{"1", "2", "3"} {
			c.wantBy(t, "old", body)
		}
		old.wantMoved(t, 1)
		c.write(request + "4" + request + "5")
		c.wantBy(t, "new", "4")
		c.wantBy(t, "new", "5")
	}
}

// The next request arrives while the one before is being answered: net/http's
// background read has its first byte.
func TestRequestDuringTheOneBefore(t *testing.T) {
	inHandler, release := make(chan struct{}, 2), make(chan struct{})
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		inHandler <- struct{}{}
		<-release
		io.WriteString(w, "old: ")
	})})
	c := old.client(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inHandler
	old.replaceBy(t, next)
	io.WriteString(c, "G")
	recvq.AwaitEmpty(t, c)
	close(release)
	c.wantBy(t, "old", "")
	io.WriteString(c, "ET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.wantBy(t, "old", "")
	old.wantMoved(t, 1)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.wantBy(t, "new", "")
}

func TestLongRequestMovesAfterItsResponse(t *testing.T) {
	inHandler, release := make(chan struct{}), make(chan struct{})
	canceledEarly := make(chan bool, 1)
	old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inHandler)
		<-release
		canceledEarly <- r.Context().Err() != nil
		io.WriteString(w, "old: ")
	})})
	c := old.client(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inHandler
	old.replaceBy(t, next)
	drained := make(chan listener.Result, 1)
	go func() { drained <- old.Drain(deadline(t, 20*time.Second)) }()
	if old.Stats().Out != 0 {
		t.Error("it moved while a request was in the handler")
	}
	close(release)
	c.wantBy(t, "old", "")
	if <-canceledEarly {
		t.Error("the request's context was canceled")
	}
	if r := <-drained; r.Ended != 0 || r.Cut != 0 {
		t.Errorf("Drain = %+v, want it moved", r)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.wantBy(t, "new", "")
}

func TestBodiesOverADrain(t *testing.T) {
	tests := []struct{ name, header, first, rest, body string }{
		{"chunked with pauses", "Transfer-Encoding: chunked\r\n", "5\r\nfirst\r\n", "4\r\nrest\r\n0\r\n\r\n", "firstrest"},
		{"in the midst of a chunk", "Transfer-Encoding: chunked\r\n", "5\r\nfi", "rst\r\n0\r\n\r\n", "first"},
		{"a length", "Content-Length: 8192\r\n", strings.Repeat("x", 4096), strings.Repeat("y", 4096), strings.Repeat("x", 4096) + strings.Repeat("y", 4096)},
		{"nothing but the header", "Content-Length: 4\r\n", "", "body", "body"},
	}
	for _, tt := range tests {
		for _, expect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s expect %v", tt.name, expect), func(t *testing.T) {
				begun := make(chan struct{}, 2)
				old, next := twoGenerations(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					begun <- struct{}{}
					by("old").ServeHTTP(w, r)
				})})
				c := old.client(t)
				header := "POST / HTTP/1.1\r\nHost: x\r\n" + tt.header
				if expect {
					io.WriteString(c, header+"Expect: 100-continue\r\n\r\n")
					if line, err := c.br.ReadString('\n'); !strings.Contains(line, "100 Continue") {
						t.Fatalf("the server says %q, %v, want 100 Continue", line, err)
					}
					c.br.ReadString('\n')
				} else {
					io.WriteString(c, header+"\r\n")
				}
				<-begun
				io.WriteString(c, tt.first)
				old.replaceBy(t, next)
				for range 5 {
					time.Sleep(time.Millisecond)
					if old.Stats().Out != 0 {
						t.Fatal("it moved in the midst of a body")
					}
				}
				io.WriteString(c, tt.rest)
				c.wantBy(t, "old", tt.body)
				old.wantMoved(t, 1)
				if got, err := c.post("next"); got != "new: next" || err != nil {
					t.Errorf("the next request: %q, %v", got, err)
				}
			})
		}
	}
}
