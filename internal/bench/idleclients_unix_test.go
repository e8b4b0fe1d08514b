//go:build unix

package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
)

const (
	// perAddress is how many connections go to one of the addresses 127.0.0.x,
	// for each of which there are 28,000 ports to come from.
	perAddress = 20_000

	// idleWorkers is how many connections are used at the same time.
	idleWorkers = 8
)

// idleClients are clients with a kept connection each, that do a request now and
// then.
type idleClients struct {
	path  string
	conns []net.Conn
}

// dialIdle opens n connections to the port of address and does a request on each.
func dialIdle(b *testing.B, address, path string, n int) *idleClients {
	b.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	c := &idleClients{path: path, conns: make([]net.Conn, n)}
	c.each(b, func(i int, r *bufio.Reader) error {
		var err error
		c.conns[i], err = net.Dial("tcp", fmt.Sprintf("127.0.0.%d:%s", 1+i/perAddress, port))
		if err != nil {
			return err
		}
		_, err = c.request(i, r)
		return err
	})
	return c
}

// use does a request on each connection, which that generation has to answer.
func (c *idleClients) use(b *testing.B, generation int) {
	b.Helper()
	c.each(b, func(i int, r *bufio.Reader) error {
		resp, err := c.request(i, r)
		if err != nil {
			return err
		}
		if got := resp.Header.Get("X-Gozd-Generation"); got != strconv.Itoa(generation) {
			return fmt.Errorf("generation %s has answered, want %d", got, generation)
		}
		return nil
	})
}

// each has do called for every connection, with a reader to be reset.
func (c *idleClients) each(b *testing.B, do func(i int, r *bufio.Reader) error) {
	b.Helper()
	var workers sync.WaitGroup
	for w := range idleWorkers {
		workers.Go(func() {
			r := bufio.NewReader(nil)
			for i := w; i < len(c.conns); i += idleWorkers {
				if err := do(i, r); err != nil {
					b.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	workers.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// request does one request on connection i and reads all of the answer.
func (c *idleClients) request(i int, r *bufio.Reader) (*http.Response, error) {
	r.Reset(c.conns[i])
	if _, err := fmt.Fprintf(c.conns[i], "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", c.path); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.Close || r.Buffered() > 0 {
		return nil, fmt.Errorf("status %d, close %v, %d bytes follow", resp.StatusCode, resp.Close, r.Buffered())
	}
	return resp, nil
}

func (c *idleClients) close() {
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}
