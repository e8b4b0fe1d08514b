//go:build unix

package listener_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

func TestAdoptedIsParkedUntilItsFirstByte(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := generation(t, network)
			conns := accepted(ln)
			const n = 10
			var clients []net.Conn
			for range n {
				clients = append(clients, adopt(t, ln, network, nil))
			}
			eventually(t, "one goroutine for each", func() bool { return parked() == n })
			if len(conns) != 0 {
				t.Fatal("Accept returned a connection that has sent nothing")
			}
			send(t, clients[3], "request")
			c := within(t, conns, "Accept")
			if c.(listener.Conn).State() != nil || c.(listener.Conn).Group() != "web" {
				t.Errorf("State = %q, Group = %q, want nil, web", c.(listener.Conn).State(), c.(listener.Conn).Group())
			}
			wantText(t, c, "request") // all of it
			send(t, c, "answer")
			wantText(t, clients[3], "answer")
			if len(conns) != 0 {
				t.Error("Accept returned another connection")
			}
			eventually(t, "its goroutine is gone", func() bool { return parked() == n-1 })
			if got, want := ln.Stats(), (listener.Stats{Open: n, Parked: n - 1, In: n}); got != want {
				t.Errorf("Stats = %+v, want %+v", got, want)
			}
			c.Close()
		})
	}
}

func TestClientLeavesWhileParked(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		conns := accepted(ln)
		adopt(t, ln, network, nil).Close()
		reset := adopt(t, ln, network, nil)
		if tcp, ok := reset.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		reset.Close()
		eventually(t, "counted out", func() bool { return ln.Stats() == listener.Stats{In: 2} })
		if len(conns) != 0 {
			t.Errorf("%s: Accept returned a connection whose client has left", network)
		}
	}
}

func TestRequestAndEndWhileParked(t *testing.T) {
	ln := generation(t, "tcp")
	client := adopt(t, ln, "tcp", nil)
	send(t, client, "last")
	client.(*net.TCPConn).CloseWrite()
	c := within(t, accepted(ln), "Accept")
	if b, err := io.ReadAll(c); string(b) != "last" || err != nil {
		t.Errorf("read %q, %v, want the request and the end", b, err)
	}
	c.Close()
}

func TestAdoptedWithState(t *testing.T) {
	ln := generation(t, "tcp")
	state := bytes.Repeat([]byte("s"), 1<<20)
	first := adopt(t, ln, "tcp", []byte("first")) // before Accept
	conns := accepted(ln)
	c := within(t, conns, "Accept")
	second := adopt(t, ln, "tcp", state) // while it is blocked
	d := within(t, conns, "Accept")
	for _, tt := range []struct {
		conn, client net.Conn
		state        []byte
	}{{c, first, []byte("first")}, {d, second, state}} {
		if got := tt.conn.(listener.Conn).State(); !bytes.Equal(got, tt.state) {
			t.Errorf("State = %d bytes, want %d", len(got), len(tt.state))
		}
		send(t, tt.client, "x")
		wantText(t, tt.conn, "x")
		tt.conn.Close()
	}
	if parked() != 0 {
		t.Error("a connection with state was parked")
	}
}

func TestAdoptBeforeTheGate(t *testing.T) {
	gate := make(chan struct{})
	ln := listener.New(raw(t, "tcp"), listener.Options{HandoverKey: "http web", Gate: gate})
	defer ln.Close()
	adopt(t, ln, "tcp", []byte("state"))
	conns := accepted(ln)
	if len(conns) != 0 {
		t.Error("Accept returned before the gate opened")
	}
	close(gate)
	within(t, conns, "Accept").Close()
}

// Adopted and accepted connections come to many goroutines in Accept, each once.
func TestAdoptIntoManyAccepts(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := generation(t, network)
			const each = 20
			seen := make(chan string, 4*each)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for {
						c, err := ln.Accept()
						if err != nil {
							return
						}
						b := make([]byte, 2)
						io.ReadFull(c, b)
						seen <- string(b)
						c.Close()
					}
				})
			}
			var clients sync.WaitGroup
			for i := range each {
				parked := adopt(t, ln, network, nil)
				clients.Go(func() { fmt.Fprintf(parked, "%c0", 'a'+i) })
				clients.Go(func() {
					stated := adopt(t, ln, network, []byte("state"))
					fmt.Fprintf(stated, "%c1", 'a'+i)
				})
				clients.Go(func() {
					c, err := to(ln)()
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					fmt.Fprintf(c, "%c2", 'a'+i)
				})
			}
			times := make(map[string]int)
			for range 3 * each {
				times[within(t, seen, "Accept")]++
			}
			clients.Wait()
			if len(times) != 3*each {
				t.Errorf("%d connections were accepted, want %d", len(times), 3*each)
			}
			eventually(t, "all closed", func() bool { return ln.Stats().Open == 0 })
			if got := ln.Stats(); got.In != 2*each || got.Accepted != each {
				t.Errorf("Stats = %+v, want In %d, Accepted %d", got, 2*each, each)
			}
			ln.Close()
			all.Wait()
		})
	}
}

func TestIdleTimeoutOfParked(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		forever := adopt(t, ln, network, nil)
		eventually(t, "parked", func() bool { return parked() == 1 })
		ln.SetIdleTimeout(timeout)
		conns := accepted(ln)
		start := time.Now()
		client := adopt(t, ln, network, nil)
		wantEOF(t, client)
		if took := time.Since(start); took < timeout {
			t.Errorf("%s: closed after %v, want %v", network, took, timeout)
		}
		eventually(t, "counted out", func() bool { return ln.Stats().Open == 1 })
		if len(conns) != 0 {
			t.Errorf("%s: Accept returned a connection that timed out", network)
		}
		ln.SetIdleTimeout(-time.Second) // none
		late := adopt(t, ln, network, nil)
		for _, c := range []net.Conn{forever, late} {
			send(t, c, "x")
			wantText(t, within(t, conns, "Accept"), "x")
		}
		ln.Close()
		ln.Drain(expired())
	}
}

// Requests that come at the moment of the timeout are served or the connection is
// closed before, but never reset when Accept has returned it; and no deadline is
// left on it.
func TestRequestAtTheIdleTimeout(t *testing.T) {
	const timeout = 2 * time.Millisecond
	ln := generation(t, "tcp")
	ln.SetIdleTimeout(timeout)
	conns := accepted(ln)
	served := 0
	for i := range 200 {
		client := adopt(t, ln, "tcp", nil)
		time.Sleep(timeout*9/10 + time.Duration(i)*time.Microsecond)
		if _, err := io.WriteString(client, "x"); err != nil {
			client.Close()
			continue
		}
		closed := make(chan error, 1)
		go func() {
			_, err := client.Read(make([]byte, 1))
			closed <- err
		}()
		select {
		case c := <-conns:
			served++
			b := make([]byte, 1)
			if _, err := c.Read(b); err != nil || b[0] != 'x' {
				t.Errorf("read %q, %v, want the request", b, err)
			}
			send(t, c, "y")
			if err := within(t, closed, "answer"); err != nil {
				t.Errorf("the client reads %v, want the answer", err)
			}
			c.Close()
		case err := <-closed:
			if err == nil {
				t.Error("the client of a connection that was not accepted reads something")
			}
		}
		client.Close()
	}
	t.Logf("%d of 200 were served", served)
	eventually(t, "counted out", func() bool { return ln.Stats().Open == 0 })
}

// At the end parked connections end, and a request that has arrived is answered.
func TestParkedEnd(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln := generation(t, network)
		idle, busy := adopt(t, ln, network, nil), adopt(t, ln, network, nil)
		send(t, busy, "x") // nobody is in Accept
		ln.CloseIdle()
		drained := make(chan listener.Result, 1)
		go func() { drained <- ln.Drain(t.Context()) }()
		wantEOF(t, idle)
		c := within(t, accepted(ln), "Accept while draining")
		wantText(t, c, "x")
		send(t, c, "y")
		c.Close()
		wantText(t, busy, "y")
		if r := within(t, drained, "Drain"); r.Ended != 2 || r.Cut != 0 {
			t.Errorf("%s: Drain = %+v, want 2 ended", network, r)
		}
	}
}

// What the program has closed the listener for cannot be accepted any more.
func TestAdoptedAfterClose(t *testing.T) {
	ln := generation(t, "tcp")
	queued := adopt(t, ln, "tcp", []byte("state"))
	client := adopt(t, ln, "tcp", nil)
	eventually(t, "parked", func() bool { return parked() == 1 })
	ln.Close()
	wantEOF(t, queued)
	send(t, client, "x")
	if n, err := client.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %d, %v, want the end", n, err)
	}
	eventually(t, "counted out", func() bool { return ln.Stats().Open == 0 })
	if err := take(ln, nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Reserve = %v, want net.ErrClosed", err)
	}
}
