package protocols

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// step sends something and then reads one answer.
type step struct {
	send   string
	method string // of the request that is answered
}

// conversations are requests of every kind after which a connection is kept.
var conversations = []struct {
	name  string
	steps []step
}{
	{"GET", []step{{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}},
	{"POST", []step{{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "POST"}}},
	{"POST of nothing", []step{{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "POST"}}},
	{"POST of much", []step{{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("much ", 20_000), "POST"}}},
	{"POST in chunks", []step{{"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Last: x\r\n\r\n", "POST"}}},
	{"100-continue", []step{
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "POST"},
		{"hello", "POST"},
	}},
	{"pipelined", []step{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "GET"},
		{"", "POST"},
	}},
	{"answer in chunks", []step{{"GET /stream?n=3&every=1ms HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}},
	{"file", []step{{"GET /file?size=3000 HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}},
	{"range", []step{{"GET /file?size=3000 HTTP/1.1\r\nHost: x\r\nRange: bytes=100-199\r\n\r\n", "GET"}}},
	{"no such range", []step{{"GET /file?size=3000 HTTP/1.1\r\nHost: x\r\nRange: bytes=5000-\r\n\r\n", "GET"}}},
	{"bad parameter", []step{{"GET /file?size=-1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}},
	{"no such path", []step{{"GET /none HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}},
	{"no such method", []step{{"DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n", "DELETE"}}},
	{"HEAD", []step{{"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD"}}},
	{"HTTP/1.0", []step{{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET"}}},
	{"last words", []step{{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}},
}

// endings are requests after which the server closes the connection.
var endings = []struct{ name, send string }{
	{"Connection: close", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
	{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"},
	{"HTTP/0.9", "GET /\r\n"},
	{"no HTTP", "EHLO x\r\n"},
	{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	{"no host", "GET / HTTP/1.1\r\n\r\n"},
	{"bad header", "GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n"},
	{"bad length", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n"},
	{"unknown transfer encoding", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n"},
	{"unknown expectation", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: magic\r\n\r\n"},
	{"cut body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"},
	{"cut head", "GET / HTTP/1.1\r\nHo"},
	{"nothing", ""},
}

// varying is what may differ between two answers to one request: when, who, and the
// boundary between parts, which is random.
var varying = regexp.MustCompile(`(?m)^((?:Date|X-Gozd-Generation|X-Gozd-Pid): ).*$|("(?:generation|pid)":)\d+|[0-9a-f]{60}`)

// lengthOfJSON is in the header of an answer that names the PID: that may have more
// digits the next time.
var lengthOfJSON = regexp.MustCompile(`Content-Length: \d+`)

// mask takes out of an answer what may differ.
func mask(answer []byte) string {
	if bytes.Contains(answer, []byte(`"pid":`)) {
		answer = lengthOfJSON.ReplaceAll(answer, []byte("Content-Length: N"))
	}
	return string(varying.ReplaceAll(answer, []byte("${1}${2}*")))
}

// rawClient records every byte of the answers on its connection.
type rawClient struct {
	conn     net.Conn
	r        *bufio.Reader
	received bytes.Buffer
}

func dialRaw(t *testing.T, to load.Target) *rawClient {
	t.Helper()
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &rawClient{conn: conn}
	c.r = bufio.NewReader(io.TeeReader(conn, &c.received))
	return c
}

// converse does the steps and returns the bytes of all answers.
func (c *rawClient) converse(t *testing.T, steps []step) []byte {
	t.Helper()
	c.received.Reset()
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	for _, s := range steps {
		if _, err := io.WriteString(c.conn, s.send); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(c.r, &http.Request{Method: s.method})
		if err != nil {
			t.Fatalf("after %q: %v", c.received.Bytes(), err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatalf("after %q: %v", c.received.Bytes(), err)
		}
	}
	return bytes.Clone(c.received.Bytes())
}

// toTheEnd sends something, and nothing more, and returns all that comes.
func (c *rawClient) toTheEnd(t *testing.T, send string) []byte {
	t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c.conn, send); err != nil {
		t.Fatal(err)
	}
	if err := c.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c.r); err != nil {
		t.Fatalf("after %q: %v", c.received.Bytes(), err)
	}
	return c.received.Bytes()
}

// upgradeAndMove upgrades a daemon of one group, web, and returns when the old generation has nothing open any more: every connection has moved.
func upgradeAndMove(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	up, err := d.Upgrade(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	daemontest.AwaitMoved(t, d, up.OldGeneration, "web")
}

// wantAnswered checks that all answers in raw are those of a generation.
func wantAnswered(t *testing.T, raw []byte, generation int) {
	t.Helper()
	for _, who := range regexp.MustCompile(`X-Gozd-Generation: (\d+)`).FindAllSubmatch(raw, -1) {
		if string(who[1]) != fmt.Sprint(generation) {
			t.Errorf("answered by generation %s, want %d", who[1], generation)
		}
	}
}

// wantSame checks that a moved connection's answer is the one that it gave before.
func wantSame(t *testing.T, name string, got, first []byte) {
	t.Helper()
	if mask(got) != mask(first) {
		t.Errorf("%s: after a move the answer is\n%q\nbefore it was\n%q", name, got, first)
	}
}

// TestMovedConnectionAnswersTheSame has a conversation of many kinds of requests on
// one connection in the first generation, and again with an upgrade before each
// request. The answers are the same, byte for byte.
func TestMovedConnectionAnswersTheSame(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "unix:web.sock"} {
		network, _, _ := strings.Cut(listen, ":")
		t.Run(network, func(t *testing.T) {
			d := daemontest.Start(t, "[web]\nmode http\nlisten "+listen+"\n")
			c := dialRaw(t, daemontest.Target(t, d, "web"))
			var first [][]byte
			for _, q := range conversations {
				first = append(first, c.converse(t, q.steps))
			}
			for i, q := range conversations {
				upgradeAndMove(t, d)
				got := c.converse(t, q.steps)
				wantAnswered(t, got, i+2)
				wantSame(t, q.name, got, first[i])
			}
		})
	}
}

// TestMovedConnectionEndsTheSame sends what ends a connection, as the first request
// of one and as the second, in the first generation, and on such connections that
// have moved before it.
func TestMovedConnectionEndsTheSame(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	to := daemontest.Target(t, d, "web")
	for round, before := range [][]step{nil, {{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}} {
		dial := func() *rawClient {
			c := dialRaw(t, to)
			c.converse(t, before)
			c.received.Reset()
			return c
		}
		var stayed [][]byte
		var moving []*rawClient
		for _, e := range endings {
			stayed = append(stayed, dial().toTheEnd(t, e.send))
			moving = append(moving, dial())
		}
		upgradeAndMove(t, d)
		for i, e := range endings {
			got := moving[i].toTheEnd(t, e.send)
			wantAnswered(t, got, round+2)
			wantSame(t, e.name, got, stayed[i])
		}
	}
}

// TestEmptyLineAfterAPostAndAMove sends what old browsers do: an empty line behind the
// body of a POST. net/http allows it there, and so must the process that has
// not seen the POST.
func TestEmptyLineAfterAPostAndAMove(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	c := dialRaw(t, daemontest.Target(t, d, "web"))
	post := []step{{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "POST"}}
	next := []step{{"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET"}}
	c.converse(t, post)
	stayed := c.converse(t, next)
	c.converse(t, post)
	upgradeAndMove(t, d)
	got := c.converse(t, next)
	wantAnswered(t, got, 2)
	wantSame(t, "empty line", got, stayed)
	// Sent with the POST, it is read before the move, and the client says nothing more until then.
	post[0].send += "\r\n"
	next[0].send = next[0].send[len("\r\n"):]
	c.converse(t, post)
	upgradeAndMove(t, d)
	got = c.converse(t, next)
	wantAnswered(t, got, 3)
	wantSame(t, "empty line with the POST", got, stayed)
}
