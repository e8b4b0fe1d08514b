//go:build unix

package httpx_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/recvq"
)

// What old clients send behind the body of a POST (RFC 9112, section 2.2) stays in net/http's buffer until the next request. The connection moves
// all the same, and the client need not say anything for that.
func TestEmptyLineBehindABodyMoves(t *testing.T) {
	for _, tt := range []struct {
		name   string
		with   string   // the request
		during string   // it is handled
		after  []string // it is answered
	}{
		{name: "with the request", with: "\r\n"},
		{name: "a line feed", with: "\n"},
		{name: "three bytes", with: "\n\r\n"},
		{name: "half", with: "\r"},
		{name: "while it is handled", during: "\r\n"},
		{name: "after the answer", after: []string{"\r\n"}},
		{name: "by and by", after: []string{"\r", "\n", "\n"}},
		{name: "at each time", with: "\r", during: "\n", after: []string{"\n"}},
	} {
		for _, kind := range []string{"plain", "tls", "layer"} {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				asked, goOn := make(chan struct{}, 2), make(chan struct{})
				old, next, c := waitingGenerations(t, kind, func() {
					asked <- struct{}{}
					<-goOn
				})
				c.send(t, postBody+tt.with)
				<-asked
				_, _ = io.WriteString(c, tt.during) // the server reads a byte of it
				close(goOn)
				c.wantBy(t, "old", "body")
				recvq.AwaitEmpty(t, c.socket)
				for _, s := range tt.after {
					c.send(t, s)
				}
				old.replaceBy(t, next)
				old.wantMoved(t, 1)
				c.send(t, getNothing)
				c.wantBy(t, "new", "")
			})
		}
	}
}

// An empty line with some of the next request behind it is that one's beginning.
func TestEmptyLineBeforeABegunRequestStays(t *testing.T) {
	for _, begun := range []string{"\nG", "\r\nG", "\nGE", "\r\n\r\nGET"} {
		for _, kind := range []string{"plain", "tls", "layer"} {
			for _, together := range []bool{false, true} {
				t.Run(fmt.Sprintf("%q %s together %v", begun, kind, together), func(t *testing.T) {
					old, next, c := waitingGenerations(t, kind, func() {})
					line := strings.TrimRight(begun, "GET")
					if together {
						c.send(t, postBody+begun)
						c.wantBy(t, "old", "body")
					} else {
						c.send(t, postBody)
						c.wantBy(t, "old", "body")
						c.send(t, line)
						c.send(t, begun[len(line):])
					}
					old.replaceBy(t, next)
					old.wantNotMoved(t, "with a part of a request")
					c.send(t, getNothing[len(begun)-len(line):])
					c.wantBy(t, "old", "")
					old.wantMoved(t, 1)
					c.send(t, getNothing)
					c.wantBy(t, "new", "")
				})
			}
		}
	}
}

const (
	postBody   = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	getNothing = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
)

// talker is a client that knows when it has been heard.
type talker struct {
	*client1
	socket net.Conn
}

// send returns when the server has read s.
func (c talker) send(t *testing.T, s string) {
	t.Helper()
	if s == "" {
		return
	}
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
	recvq.AwaitEmpty(t, c.socket)
}

// waitingGenerations are two over one kind of connection, and a client of the old one, which calls wait for each request.
func waitingGenerations(t *testing.T, kind string, wait func()) (old, next *generation, c talker) {
	t.Helper()
	slowly := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wait()
		by("old").ServeHTTP(w, r)
	})}
	if kind == "tls" {
		old, next = secureGeneration(t, "tcp", slowly, serverTLS), named(t, "new")
		secured := old.secureClient(t, nil)
		return old, next, talker{secured, secured.Conn.(*tls.Conn).NetConn()}
	}
	layer := func(ln net.Listener) net.Listener { return ln }
	if kind == "layer" {
		layer = layerOf(func(c net.Conn) net.Conn { return &readingBy{c, bufio.NewReader(c)} })
	}
	old = newLayered(t, "tcp", slowly, layer)
	next = newLayered(t, "tcp", &http.Server{Handler: by("new")}, layer)
	plain := old.client(t)
	return old, next, talker{plain, plain.Conn}
}
