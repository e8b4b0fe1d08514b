//go:build unix

package httpx_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
)

// A state that is too long to be sent stays where it is, and its client is sent away.
func TestHTTP2WithALongStateStays(t *testing.T) {
	const table = 2 << 20 // more than goes along with a connection
	conf := http.HTTP2Config{MaxDecoderHeaderTableSize: table}
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			old := k.generation(t, k.limited(201, conf))
			next := k.generation(t, k.limited(202, conf))
			c := newClient2(t, k.dial(t, old))
			c.enc.SetMaxDynamicTableSizeLimit(table)
			c.enc.SetMaxDynamicTableSize(table)
			const requests = 100
			for i := range requests {
				c.do(t, func() error {
					h := c.headers(uint32(2*i+1), "/")
					if err := c.enc.WriteField(hpack.HeaderField{Name: fmt.Sprintf("x-%d", i), Value: strings.Repeat("Z~", 5500)}); err != nil {
						return err
					}
					h.BlockFragment = c.buf.Bytes()
					return c.fr.WriteHeaders(h)
				})
				c.wantStatus(t, uint32(2*i+1), 201)
			}
			old.replaceBy(t, next)
			c.wantSentAway(t, old, 2*requests+1)
		})
	}
}

// A client that says "http" over TLS, which it may, changes nothing of r.TLS.
func TestHTTP2OverTLSWithAnotherScheme(t *testing.T) {
	var curves [2]tls.CurveID
	generation := func(i int) *generation {
		return secureGeneration(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			curves[i] = r.TLS.CurveID
			w.WriteHeader(201 + i)
		})}, serverTLS)
	}
	old, next := generation(0), generation(1)
	conf := clientTLS.Clone()
	conf.CurvePreferences, conf.NextProtos = []tls.CurveID{tls.CurveP256}, []string{"h2"}
	conn := tls.Client(old.client(t).Conn, conf)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newClient2(t, conn)
	get := func(stream uint32) {
		c.do(t, func() error {
			c.buf.Reset()
			for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/"}} {
				if err := c.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
					return err
				}
			}
			return c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: bytes.Clone(c.buf.Bytes()), EndHeaders: true, EndStream: true})
		})
	}
	get(1)
	c.wantStatus(t, 1, 201)
	old.replaceBy(t, next)
	old.wantMoved(t, 1)
	get(3)
	c.wantStatus(t, 3, 202)
	if curves != [2]tls.CurveID{tls.CurveP256, tls.CurveP256} {
		t.Errorf("the generations see %v, want %v", curves, tls.CurveP256)
	}
}

// A deadline that the program's hook sets is one of the connection, also where that has come.
func TestDeadlineOfAHookOnHTTP2OverTLS(t *testing.T) {
	for _, moved := range []bool{false, true} {
		srv := &http.Server{Handler: status(202), ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateActive {
				c.SetDeadline(time.Now().Add(300 * time.Millisecond))
			}
		}}
		g := secureGeneration(t, "tcp", srv, serverTLS)
		at := g
		if moved {
			at = secure2.generation(t, secure2.server(status(202)))
		}
		c := secure2.used(t, at, 202)
		if moved {
			at.replaceBy(t, g)
			at.wantMoved(t, 1)
			c.get(t, 3, "/")
			c.wantStatus(t, 3, 202)
		}
		c.want(t, ended)
	}
}

// A last record that was too long to be kept is followed by an answer to a PING, and then the connection moves.
func TestHTTP2OverTLSBehindALongRecord(t *testing.T) {
	old := secure2.generation(t, secure2.server(status(201)))
	next := secure2.generation(t, secure2.server(status(202)))
	conf := clientTLS.Clone()
	conf.NextProtos, conf.DynamicRecordSizingDisabled = []string{"h2"}, true
	conn := tls.Client(old.client(t).Conn, conf)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newClient2(t, conn)
	c.get(t, 1, "/")
	c.wantStatus(t, 1, 201)
	c.ping(t) // nothing of its own follows
	c.do(t, func() error {
		h := c.headers(3, "/")
		h.EndStream = false
		if err := c.fr.WriteHeaders(h); err != nil {
			return err
		}
		return c.fr.WriteData(3, true, make([]byte, 16384-9)) // with its header the largest record
	})
	c.wantStatus(t, 3, 201)
	old.replaceBy(t, next)
	c.want(t, ping)
	c.ackPing(t, pingData)
	old.wantMoved(t, 1)
	c.get(t, 5, "/")
	c.wantStatus(t, 5, 202)
}

// hesitant is a successor that refuses when it is released.
type hesitant struct{ asked, release chan struct{} }

func (hesitant) Takes(string) bool { return true }

func (s hesitant) Move(string, []byte, syscall.Conn) error {
	close(s.asked)
	<-s.release
	return untaken{syscall.EMFILE}
}

// The generation serves again while a move goes on, which then fails. The next drain moves the connection.
func TestHTTP2AfterAResumeDuringAMove(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			old := k.generation(t, k.server(status(201)))
			next := k.generation(t, k.server(status(202)))
			c := k.used(t, old, 201)
			heir := hesitant{make(chan struct{}), make(chan struct{})}
			old.MoveIdle(heir)
			old.StopAccepting()
			<-heir.asked
			if err := old.Resume(loopback.Listen(t, "tcp")); err != nil {
				t.Fatal(err)
			}
			close(heir.release)
			c.get(t, 3, "/")
			c.wantStatus(t, 3, 201)
			old.replaceBy(t, next)
			old.wantMoved(t, 1)
			c.get(t, 5, "/")
			c.wantStatus(t, 5, 202)
		})
	}
}
