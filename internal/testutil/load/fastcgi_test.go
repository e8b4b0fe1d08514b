package load_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http/fcgi"
	"os"
	"strings"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// serveFCGI serves app with the standard library's FastCGI.
func serveFCGI(t *testing.T, network string) load.Target {
	t.Helper()
	ln, target := listen(t, network)
	var serving sync.WaitGroup
	serving.Go(func() { fcgi.Serve(ln, app()) })
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return target
}

func TestFastCGIIsServed(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, o := range []load.FastCGIOptions{
			{},
			{KeepConn: true},
			{KeepConn: true, ReconnectOnEOF: true, BodySize: 3},
			{BodySize: 200_000}, // several records each way
		} {
			t.Run(fmt.Sprintf("%s %+v", network, o), func(t *testing.T) {
				c := closing[*load.FastCGI](t)(load.NewFastCGI(serveFCGI(t, network), o))
				for i := range 3 {
					r := mustDo(t, c)
					if want := !o.KeepConn || i == 0; r.Dialed != want || r.Reconnected || r.Generation != testGeneration {
						t.Errorf("exchange %d: %+v, want Dialed %v, generation %d", i+1, r, want, testGeneration)
					}
				}
			})
		}
	}
}

func TestFastCGIRefusesTLS(t *testing.T) {
	_, client := testTLS(t, "h2")
	if _, err := load.NewFastCGI(load.Target{Network: "tcp", Address: "x:1", TLS: client}, load.FastCGIOptions{}); err == nil {
		t.Error("NewFastCGI accepts TLS")
	}
}

// The record types of the specification, for the responders of these tests.
const (
	endRequest = 3
	params     = 4
	stdin      = 5
	stdout     = 6
	stderr     = 7
)

// record returns one record of request 1, without padding.
func record(kind byte, content string) string {
	head := []byte{1, kind, 0, 1, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(head[4:], uint16(len(content)))
	return string(head) + content
}

// readFCGI reads a request up to the end of its body, and returns that and the
// encoded variables.
func readFCGI(br *bufio.Reader) (pairs, body string, err error) {
	streams := make(map[byte]string)
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(br, head); err != nil {
			return "", "", err
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
		if _, err := io.ReadFull(br, content); err != nil {
			return "", "", err
		}
		content = content[:len(content)-int(head[6])]
		if head[1] == stdin && len(content) == 0 {
			return streams[params], streams[stdin], nil
		}
		streams[head[1]] += string(content)
	}
}

// cutPair returns the first variable of pairs.
func cutPair(pairs string) (name, value string, ok bool) {
	var lens [2]int
	for i := range lens {
		size := 1
		if pairs != "" && pairs[0] >= 128 {
			size = 4
		}
		if len(pairs) < size {
			return "", "", false
		}
		for _, b := range []byte(pairs[:size]) {
			lens[i] = lens[i]<<8 | int(b)
		}
		lens[i] &^= 1 << 31
		pairs = pairs[size:]
	}
	if len(pairs) < lens[0]+lens[1] {
		return "", "", false
	}
	return pairs[:lens[0]], pairs[lens[0]:][:lens[1]], true
}

const endOK = "\x00\x00\x00\x00\x00\x00\x00\x00"

// answerFCGI answers one request rightly, but in unusual pieces.
func answerFCGI(conn net.Conn, br *bufio.Reader) {
	_, body, err := readFCGI(br)
	if err != nil {
		return
	}
	head := fmt.Sprintf("Status: 200 OK\r\nX-Gozd-Generation: 1\r\nX-Gozd-Pid: %d\r\n\r\n", os.Getpid())
	io.WriteString(conn, record(stdout, head[:9])+record(stderr, "hm")+record(stdout, head[9:]+body)+
		record(stdout, "")+record(endRequest, endOK))
}

func TestFastCGINoticesWrongAnswers(t *testing.T) {
	head := "X-Gozd-Generation: 1\r\nX-Gozd-Pid: 7\r\n\r\n"
	body := "%B"
	tests := []struct{ name, answer, want string }{
		{"nothing", "", "fastcgi: read response: EOF after 0 bytes; request 1 on connection 1"},
		{"half a record", record(stdout, head)[:20], "read response: unexpected EOF after 20 bytes"},
		{"no end", record(stdout, head+body) + record(stdout, ""), "read response: unexpected EOF"},
		{"end cut", record(stdout, head+body) + record(endRequest, endOK)[:12], "read response: unexpected EOF"},
		{"no stdout", record(endRequest, endOK), "CGI header"},
		{"header cut", record(stdout, "Status: 200 OK\r\n") + record(endRequest, endOK), "CGI header"},
		{"status", record(stderr, "oops") + record(stdout, "Status: 502 Bad\r\n\r\n") + record(endRequest, endOK), `status 502, want 200 (stderr: "oops")`},
		{"status is text", record(stdout, "Status: OK\r\n\r\n") + record(endRequest, endOK), "CGI status"},
		{"no generation", record(stdout, "X-Gozd-Pid: 7\r\n\r\n"+body) + record(endRequest, endOK), "no header X-Gozd-Generation"},
		{"no pid", record(stdout, "X-Gozd-Generation: 7\r\n\r\n"+body) + record(endRequest, endOK), "no header X-Gozd-Pid"},
		{"short body", record(stdout, head+"!") + record(endRequest, endOK), "body"},
		{"overloaded", record(endRequest, "\x00\x00\x00\x00\x02\x00\x00\x00"), "request refused: protocol status 2"},
		{"died", record(stdout, head+body) + record(endRequest, "\x00\x00\x00\x01\x00\x00\x00\x00"), "application status 1"},
		{"long end", record(endRequest, endOK+"1"), "END_REQUEST of 9 bytes"},
		{"version", "\x02" + record(stdout, "")[1:], "record of version 2"},
		{"type", record(9, ""), "record of type 9"},
		{"other request", "\x01\x06\x00\x02" + record(stdout, "")[4:], "record for request 2, want 1"},
		{"more", record(stdout, head+body) + record(endRequest, endOK) + "!", "1 bytes follow the answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := serveConns(t, func(_ int, conn net.Conn) {
				_, got, err := readFCGI(bufio.NewReader(conn))
				if err == nil {
					io.WriteString(conn, strings.ReplaceAll(tt.answer, "%B", got))
				}
			})
			mustFail(t, closing[*load.FastCGI](t)(load.NewFastCGI(target, load.FastCGIOptions{BodySize: 2})), tt.want)
		})
	}
}

// Whatever a request holds, a responder gets it back out of the records.
func FuzzFCGIRequest(f *testing.F) {
	f.Add("NAME", "value", []byte("body"), 1)
	f.Add(strings.Repeat("n", 200), strings.Repeat("v", 70_000), make([]byte, 140_000), 2)
	f.Fuzz(func(t *testing.T, name, value string, body []byte, times int) {
		q := load.FCGIRequest{ID: 1, KeepConn: true, Params: map[string]string{name: value}, Stdin: body}
		var wire []byte
		times = 1 + times&3
		for range times {
			wire = q.Append(wire)
		}
		if len(wire)%8 != 0 {
			t.Errorf("%d bytes of records, want a multiple of 8", len(wire))
		}
		br := bufio.NewReader(strings.NewReader(string(wire)))
		for range times {
			pairs, got, err := readFCGI(br)
			if err != nil || got != string(body) {
				t.Fatalf("body of %d bytes came back as %d, %v", len(body), len(got), err)
			}
			if n, v, ok := cutPair(pairs); !ok || n != name || v != value {
				t.Fatalf("variable %q with %d bytes came back as %q with %d", name, len(value), n, len(v))
			}
		}
	})
}

// No bytes make the reader panic, nor an answer out of nothing.
func FuzzFCGIResponse(f *testing.F) {
	f.Add(record(stdout, "A: b\r\n\r\nbody")+record(endRequest, endOK), 1)
	f.Add(record(stderr, "x")+record(stdout, "Status: 404\r\n\r\n"), 7)
	f.Fuzz(func(t *testing.T, wire string, chunk int) {
		whole, err1 := load.NewFCGIReader(strings.NewReader(wire)).Response(1)
		parts, err2 := load.NewFCGIReader(&chunks{wire, 1 + chunk&15}).Response(1)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, in chunks: %v", err1, err2)
		}
		if err1 == nil && string(whole.Body) != string(parts.Body) {
			t.Errorf("body %q, in chunks %q", whole.Body, parts.Body)
		}
	})
}

// chunks reads a string in small pieces.
type chunks struct {
	rest string
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
