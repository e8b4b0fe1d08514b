package fcgix_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// holdTime is how long a part of a last answer may be held back: that of
// TCP_CORK.
const holdTime = 200 * time.Millisecond

func TestIdleConnectionIsClosedAfterItsNextAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, echo)
		c := s.client(t)
		c.send(request(1, true, "/", []byte("before")))
		c.want(t, 1, "before")
		drained := make(chan listener.Result, 1)
		go func() { drained <- s.Drain(t.Context()) }()
		time.Sleep(10 * time.Minute)
		c.send(request(1, true, "/", []byte("after")))
		start := time.Now()
		c.want(t, 1, "after")
		c.wantEOF(t)
		if took := time.Since(start); took != 0 {
			t.Errorf("the answer and its end took %v, want no wait", took)
		}
		if got, want := <-drained, (listener.Result{Ended: 1, Took: 10 * time.Minute}); got != want {
			t.Errorf("Drain = %+v, want %+v", got, want)
		}
	})
}

func TestWholeAnswerThenEOF(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, keep := range []bool{false, true} {
			for _, size := range []int{0, 1, 70_000, 1_000_000} {
				t.Run(fmt.Sprintf("%s keep_conn %v %d bytes", network, keep, size), func(t *testing.T) {
					answer := strings.Repeat("y", size)
					begun, draining := make(chan struct{}), make(chan struct{})
					s := onSocket(t, network, func(w http.ResponseWriter, _ *http.Request) {
						close(begun)
						<-draining
						io.WriteString(w, answer)
					})
					c := s.client(t)
					c.send(request(1, keep, "/", nil))
					<-begun
					drained := make(chan listener.Result, 1)
					go func() { drained <- s.Drain(t.Context()) }()
					<-s.Draining()
					close(draining)
					c.want(t, 1, answer)
					c.wantEOF(t)
					c.Close() // the server reads on until then
					if r := <-drained; r.Ended != 1 || r.Cut != 0 {
						t.Errorf("Drain = %+v, want 1 ended", r)
					}
				})
			}
		}
	}
}

// A connection that was accepted and has sent nothing yet, or half of a
// request, when the drain begins is served too.
func TestRequestThatIsOnItsWay(t *testing.T) {
	wire := request(1, false, "/", []byte("body"))
	for _, sent := range []int{0, 3, 20, len(wire) - 1} {
		synctest.Test(t, func(t *testing.T) {
			s := inMemory(t, echo)
			c := s.client(t)
			c.Write(wire[:sent])
			go s.Drain(t.Context())
			time.Sleep(time.Minute)
			c.send(wire[sent:])
			c.want(t, 1, "body")
			c.wantEOF(t)
		})
	}
}

func TestTwoRequestsOnOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := map[string]chan struct{}{"/1": make(chan struct{}), "/2": make(chan struct{})}
		s := inMemory(t, func(w http.ResponseWriter, r *http.Request) {
			<-release[r.URL.Path]
			io.WriteString(w, r.URL.Path)
		})
		c := s.client(t)
		c.Write(request(1, true, "/1", nil))
		c.Write(request(2, true, "/2", nil))
		go s.Drain(t.Context())
		synctest.Wait()
		close(release["/2"])
		c.want(t, 2, "/2")
		time.Sleep(time.Minute)
		close(release["/1"])
		c.want(t, 1, "/1")
		c.wantEOF(t)
	})
}

// The first request's answer must not end the connection while the second is
// still being sent.
func TestSecondRequestIsHalfSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := inMemory(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/1" {
				<-release
			}
			echo(w, r)
		})
		c := s.client(t)
		c.Write(request(1, true, "/1", nil))
		second := request(2, true, "/2", []byte("body"))
		c.Write(second[:30]) // BEGIN_REQUEST, and not all of the variables
		go s.Drain(t.Context())
		synctest.Wait()
		close(release)
		c.want(t, 1, "")
		time.Sleep(time.Minute)
		c.send(second[30:])
		c.want(t, 2, "body")
		c.wantEOF(t)
	})
}

func TestAbortedRequestEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, echo)
		c := s.client(t)
		wire := request(1, true, "/", []byte("body"))
		c.Write(wire[:len(wire)-8]) // all but the end of STDIN
		drained := make(chan listener.Result, 1)
		go func() { drained <- s.Drain(t.Context()) }()
		synctest.Wait()
		const abort = 2
		c.send([]byte{1, abort, 0, 1, 0, 0, 0, 0})
		if got, err := io.ReadAll(c); err != nil || len(got) == 0 {
			t.Errorf("after the abort: %d bytes, %v, want END_REQUEST and EOF", len(got), err)
		}
		<-drained
	})
}

// streamer sends a line at once, and another each second.
func streamer(lines int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := range lines {
			if i > 0 {
				time.Sleep(time.Second)
			}
			if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

func TestStreamIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, streamer(3))
		c := s.client(t)
		go s.Drain(t.Context())
		synctest.Wait()
		c.send(request(1, true, "/", nil))
		start := time.Now()
		var got strings.Builder
		buf := make([]byte, 4096)
		for i := range 3 {
			line := fmt.Sprintf("line %d", i)
			for !strings.Contains(got.String(), line) {
				n, err := c.Read(buf)
				if err != nil {
					t.Fatalf("waiting for %q: %v", line, err)
				}
				got.Write(buf[:n])
			}
			if late := time.Since(start) - time.Duration(i)*time.Second; late > holdTime {
				t.Errorf("%q is %v late, want at most %v", line, late, holdTime)
			}
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("after the stream: %v, want io.EOF", err)
		}
		if took := time.Since(start); took > 2*time.Second+holdTime {
			t.Errorf("the stream took %v, want 2 seconds", took)
		}
	})
}

// What is too long to be held back leaves at once.
func TestLongAnswerIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("x", 200_000))
			time.Sleep(time.Hour)
		})
		c := s.client(t)
		go s.Drain(t.Context())
		synctest.Wait()
		c.send(request(1, true, "/", nil))
		start := time.Now()
		if _, err := io.ReadFull(c, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the first 100 kB took %v, want no wait", took)
		}
		io.Copy(io.Discard, c)
	})
}

// The web server is gone when a part that was held back is sent: the handler
// is told at its next write, and the drain does not wait for ever.
func TestClientLeavesAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan time.Time, 1)
		s := inMemory(t, func(w http.ResponseWriter, r *http.Request) {
			streamer(1000)(w, r)
			told <- time.Now()
		})
		c := s.client(t)
		c.Write(request(1, true, "/", nil))
		drained := make(chan listener.Result, 1)
		go func() { drained <- s.Drain(t.Context()) }()
		synctest.Wait()
		c.Close()
		left := time.Now()
		if r := <-drained; r.Ended != 1 || r.Took > 2*time.Second {
			t.Errorf("Drain = %+v, want 1 ended within seconds", r)
		}
		if took := (<-told).Sub(left); took > 3*time.Second {
			t.Errorf("the handler was told after %v, want seconds", took)
		}
	})
}

// At the deadline a request that has arrived is answered, although net/http/fcgi
// closes a connection whose input has ended.
func TestRequestAtTheDeadlineIsAnswered(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			begun, release := make(chan struct{}), make(chan struct{})
			s := onSocket(t, network, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/busy" {
					close(begun)
					<-release
				}
				echo(w, r)
			})
			busy, idle := s.client(t), s.client(t)
			for _, c := range []*client{busy, idle} { // so that they are accepted
				c.send(request(1, true, "/", nil))
				c.want(t, 1, "")
			}
			busy.send(request(1, true, "/busy", []byte("x")))
			<-begun
			drained := make(chan listener.Result, 1)
			go func() { drained <- s.Drain(expired(t)) }()
			idle.wantEOF(t) // so the receiving sides are shut
			close(release)
			busy.want(t, 1, "x")
			busy.wantEOF(t)
			if r := <-drained; r.Cut != 2 || r.Took > 900*time.Millisecond {
				t.Errorf("Drain = %+v, want 2 cut at once", r)
			}
		})
	}
}
