package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// httpClients has a constructor of each kind that speaks HTTP/1.1.
var httpClients = map[string]func(load.Target) (load.Client, error){
	"get":       func(t load.Target) (load.Client, error) { return load.NewGet(t, load.GetOptions{}) },
	"keepalive": func(t load.Target) (load.Client, error) { return load.NewKeepAlive(t, load.KeepAliveOptions{}) },
	"slow": func(t load.Target) (load.Client, error) {
		return load.NewSlow(t, load.SlowOptions{Delay: 5 * time.Millisecond})
	},
	"stream": func(t load.Target) (load.Client, error) {
		return load.NewStream(t, load.StreamOptions{Lines: 3, Every: time.Millisecond})
	},
	"file": func(t load.Target) (load.Client, error) { return load.NewFile(t, load.FileOptions{Size: 300_000}) },
	"hijack": func(t load.Target) (load.Client, error) {
		return load.NewHijack(t, load.HijackOptions{ReconnectOnEOF: true})
	},
	"pipelined": func(t load.Target) (load.Client, error) {
		return load.NewPipelined(t, load.PipelinedOptions{Pause: time.Millisecond})
	},
}

func TestHTTPClientsAreServed(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		for kind, newClient := range httpClients {
			t.Run(kind+" "+network, func(t *testing.T) {
				c := closing[load.Client](t)(newClient(serveHTTP(t, network, app())))
				kept := kind == "keepalive" || kind == "hijack" || kind == "pipelined"
				for i := range 3 {
					r := mustDo(t, c)
					if r.Generation != testGeneration {
						t.Errorf("generation %d, want %d", r.Generation, testGeneration)
					}
					if want := !kept || i == 0; r.Dialed != want || r.Reconnected {
						t.Errorf("exchange %d: Dialed %v, Reconnected %v, want %v, false", i+1, r.Dialed, r.Reconnected, want)
					}
				}
			})
		}
	}
}

// canned answers each request on a connection with the next of responses, in
// which %G stands for the identifying headers, and then closes.
func canned(t *testing.T, responses ...string) load.Target {
	t.Helper()
	return serveConns(t, func(_ int, conn net.Conn) {
		br := bufio.NewReader(conn)
		for _, response := range responses {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			io.WriteString(conn, strings.ReplaceAll(response, "%G", "X-Gozd-Generation: 1\r\nX-Gozd-Pid: 7\r\n"))
		}
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, br) // what has come and is not read would make a reset of the end
	})
}

const ok = "HTTP/1.1 200 OK\r\n"

func TestHTTPClientsNoticeWrongAnswers(t *testing.T) {
	whole := `{"generation":1,"pid":7}`
	tests := []struct{ name, kind, response, want string }{
		{"nothing", "get", "", "read response: EOF after 0 bytes; request 1 on connection 1"},
		{"half a header", "get", "HTTP/1.1 200 OK\r\n%G", "read response: unexpected EOF after 54 bytes"},
		{"status", "get", "HTTP/1.1 503 No\r\n%GContent-Length: 0\r\n\r\n", "status 503, want 200"},
		{"no generation", "get", ok + "X-Gozd-Pid: 7\r\nContent-Length: 24\r\n\r\n" + whole, "no header X-Gozd-Generation"},
		{"no pid", "get", ok + "X-Gozd-Generation: 7\r\nContent-Length: 24\r\n\r\n" + whole, "no header X-Gozd-Pid"},
		{"pid is text", "get", ok + "X-Gozd-Generation: 7\r\nX-Gozd-Pid: me\r\nContent-Length: 24\r\n\r\n" + whole, `X-Gozd-Pid is "me"`},
		{"short body", "get", ok + "%GContent-Length: 25\r\n\r\n" + whole, "read body: unexpected EOF after"},
		{"unframed", "get", ok + "%G\r\n" + whole, "neither chunked nor has it a length"},
		{"too much", "get", ok + "%GContent-Length: 24\r\n\r\n" + whole + "HTTP", "4 bytes follow the answer"},
		{"not json", "get", ok + "%GContent-Length: 5\r\n\r\nhello", `body "hello"`},
		{"other process", "get", ok + "%GContent-Length: 24\r\n\r\n" + `{"generation":1,"pid":8}`, "body says generation 1, pid 8; headers say 1, 7"},

		{"nothing", "keepalive", "", "keepalive: read response: EOF after 0 bytes; request 1 on connection 1"},
		{"other body", "keepalive", ok + "%GContent-Length: 128\r\n\r\n" + strings.Repeat("y", 128), "body differs from what was sent at byte 0"},
		{"longer body", "keepalive", ok + "%GContent-Length: 129\r\n\r\n" + strings.Repeat("y", 129), "body of more than 128 bytes"},
		{"cut chunk", "keepalive", ok + "%GTransfer-Encoding: chunked\r\n\r\n40\r\nabc", "read body: unexpected EOF after"},

		{"few lines", "stream", ok + "%GTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n0\r\n\r\n", "1 lines, want 3"},
		{"cut line", "stream", ok + "%GTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n", `line 2 is cut: "b"`},
		{"cut stream", "stream", ok + "%GTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n", "line 2 of 3: read body: unexpected EOF"},
		{"unframed", "stream", ok + "%G\r\na\nb\nc\n", "neither chunked"},
		{"short", "file", ok + "%GContent-Length: 5\r\n\r\nhello", "file of 5 bytes, want 300000"},
		{"cut", "file", ok + "%GContent-Length: 300000\r\n\r\nhello", "read body: unexpected EOF after"},
		{"unframed", "file", ok + "%G\r\nhello", "neither chunked"},
		{"no upgrade", "hijack", ok + "%GContent-Length: 0\r\n\r\n", "status 200, want 101"},
		{"other protocol", "hijack", "HTTP/1.1 101 X\r\n%GUpgrade: websocket\r\n\r\n", `upgraded to "websocket"`},
		{"no line", "hijack", "HTTP/1.1 101 X\r\n%GUpgrade: echo\r\n\r\n", "read line: EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.kind+" "+tt.name, func(t *testing.T) {
			c := closing[load.Client](t)(httpClients[tt.kind](canned(t, tt.response)))
			mustFail(t, c, tt.want)
		})
	}
}

func TestResetIsAFailure(t *testing.T) {
	for kind, newClient := range httpClients {
		t.Run(kind, func(t *testing.T) {
			target := serveConns(t, func(_ int, conn net.Conn) {
				conn.Read(make([]byte, 1))
				reset(conn)
			})
			mustFail(t, closing[load.Client](t)(newClient(target)), kind, "reset", "request 1 on connection 1")
		})
	}
}

func TestRefusedConnectionIsAFailure(t *testing.T) {
	ln, target := listen(t, "tcp")
	ln.Close()
	for kind, newClient := range httpClients {
		mustFail(t, closing[load.Client](t)(newClient(target)), kind+": connect: ", "refused")
	}
}

func TestTLSHandshakeWithPlaintextServerFails(t *testing.T) {
	target := canned(t, "")
	_, target.TLS = testTLS(t, "http/1.1")
	c := closing[*load.Get](t)(load.NewGet(target, load.GetOptions{}))
	mustFail(t, c, "get: connect: TLS handshake with tcp+tls://127.0.0.1:")
}

func TestSlowNoticesEarlyAnswer(t *testing.T) {
	target := canned(t, ok+"%GContent-Length: 24\r\n\r\n"+`{"generation":1,"pid":7}`)
	c := closing[*load.Slow](t)(load.NewSlow(target, load.SlowOptions{Delay: time.Hour}))
	mustFail(t, c, "slow: answered after ", ", asked for 1h0m0s")
}

func TestFileNoticesOtherContent(t *testing.T) {
	var changed atomic.Bool
	target := serveHTTP(t, "tcp", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mark(w)
		if changed.Load() {
			io.WriteString(w, "b")
			return
		}
		io.WriteString(w, "a")
	}))
	var sum load.FileSum
	newFile := func() *load.File {
		return closing[*load.File](t)(load.NewFile(target, load.FileOptions{Size: 1, Sum: &sum}))
	}
	mustDo(t, newFile())
	mustDo(t, newFile())
	changed.Store(true)
	mustFail(t, newFile(), "content has checksum")
}

func TestKeepAliveReconnectsAfterConnectionClose(t *testing.T) {
	var n atomic.Int64
	target := serveHTTP(t, "tcp", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 0 {
			w.Header().Set("Connection", "close")
		}
		echo(w, r)
	}))
	c := closing[*load.KeepAlive](t)(load.NewKeepAlive(target, load.KeepAliveOptions{BodySize: 1}))
	for i, want := range []bool{false, false, true, false, true} {
		if r := mustDo(t, c); r.Reconnected != want {
			t.Errorf("exchange %d: Reconnected = %v, want %v", i+1, r.Reconnected, want)
		}
	}
	if got := c.Connections(); got != 3 {
		t.Errorf("Connections() = %d, want 3", got)
	}
}

// closedWhileIdle answers once on each connection and then ends it. The channel
// tells when it has done so.
func closedWhileIdle(t *testing.T, answer func(net.Conn, *bufio.Reader), end func(net.Conn)) (load.Target, <-chan bool) {
	t.Helper()
	closed := make(chan bool, 10)
	target := serveConns(t, func(_ int, conn net.Conn) {
		br := bufio.NewReader(conn)
		if _, err := br.Peek(1); err != nil {
			return
		}
		answer(conn, br)
		end(conn)
		closed <- true
	})
	return target, closed
}

// answerEcho answers one POST with its body.
func answerEcho(conn net.Conn, br *bufio.Reader) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	body, _ := io.ReadAll(req.Body)
	fmt.Fprintf(conn, ok+"X-Gozd-Generation: 1\r\nX-Gozd-Pid: 7\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func closeConn(conn net.Conn) { conn.Close() }

// A server may close an idle connection at any time, says RFC 9112. The naive
// user fails all the same, and that is what this client is for.
func TestKeepAliveFailsOnConnectionClosedWhileIdle(t *testing.T) {
	target, closed := closedWhileIdle(t, answerEcho, closeConn)
	c := closing[*load.KeepAlive](t)(load.NewKeepAlive(target, load.KeepAliveOptions{}))
	if _, err := c.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-closed
	mustFail(t, c, "keepalive: ", "request 2 on connection 1")

	// The failure is over, but the connection after it was not a planned one.
	r, err := c.Do(t.Context())
	if err != nil || !r.Dialed || r.Reconnected {
		t.Errorf("Do after the failure = %+v, %v, want a new connection that was not planned", r, err)
	}
}

func TestKeepAliveSplitsHeader(t *testing.T) {
	parts := make(chan string, 2)
	target := serveConns(t, func(_ int, conn net.Conn) {
		buf := make([]byte, 4096)
		for range 2 {
			n, _ := conn.Read(buf)
			parts <- string(buf[:n])
		}
	})
	c := closing[*load.KeepAlive](t)(load.NewKeepAlive(target, load.KeepAliveOptions{Split: 50 * time.Millisecond}))
	mustFail(t, c, "EOF after 0 bytes")
	if first, second := <-parts, <-parts; first != "POST /echo" || !strings.HasPrefix(second, " HTTP/1.1\r\n") {
		t.Errorf("the header came as %q and %q", first, second)
	}
}

func TestGetStaysSilentBeforeItsRequest(t *testing.T) {
	target := serveHTTP(t, "tcp", app())
	c := closing[*load.Get](t)(load.NewGet(target, load.GetOptions{Silent: 20 * time.Millisecond}))
	if r := mustDo(t, c); r.Took < 20*time.Millisecond {
		t.Errorf("took %v, want at least the silence", r.Took)
	}
}

func TestLongBodyIsEchoedByServerThatReadsAsItWrites(t *testing.T) {
	const size = 16 << 20 // more than the socket buffers hold both ways
	target := serveConns(t, func(_ int, conn net.Conn) {
		br := bufio.NewReader(conn)
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		fmt.Fprintf(conn, ok+"X-Gozd-Generation: 1\r\nX-Gozd-Pid: 7\r\nContent-Length: %d\r\n\r\n", size)
		io.Copy(conn, req.Body)
	})
	c := closing[*load.KeepAlive](t)(load.NewKeepAlive(target, load.KeepAliveOptions{BodySize: size}))
	if _, err := c.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLongBodyRefusedIsAFailure(t *testing.T) {
	target := serveConns(t, func(_ int, conn net.Conn) {
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	})
	c := closing[*load.KeepAlive](t)(load.NewKeepAlive(target, load.KeepAliveOptions{BodySize: 16 << 20}))
	mustFail(t, c, "status 413")
}

// hung accepts and never answers.
func hung(t *testing.T) load.Target {
	t.Helper()
	return serveConns(t, func(_ int, conn net.Conn) { io.Copy(io.Discard, conn) })
}

func TestDeadlineCutsExchange(t *testing.T) {
	c := closing[*load.Get](t)(load.NewGet(hung(t), load.GetOptions{}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Do(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, load.ErrNotSent) {
		t.Errorf("Do = %v, want the deadline, after sending", err)
	}
}

func TestCancelBeforeSendingSendsNothing(t *testing.T) {
	target := serveHTTP(t, "tcp", app())
	c := closing[*load.KeepAlive](t)(load.NewKeepAlive(target, load.KeepAliveOptions{Think: time.Hour}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for range 2 { // while thinking, and before
		if _, err := c.Do(ctx); !errors.Is(err, load.ErrNotSent) {
			t.Errorf("Do = %v, want ErrNotSent", err)
		}
	}
	if got := c.Connections(); got != 0 {
		t.Errorf("%d connections opened", got)
	}
}

func TestTargetsAreValidated(t *testing.T) {
	for _, target := range []load.Target{{}, {Network: "udp", Address: "x:1"}, {Network: "tcp"}} {
		for kind, newClient := range httpClients {
			if _, err := newClient(target); err == nil || !strings.HasPrefix(err.Error(), kind+": target ") {
				t.Errorf("%s of %+v: error %v", kind, target, err)
			}
		}
	}
	if _, err := load.NewKeepAlive(load.Target{Network: "tcp", Address: "x:1"}, load.KeepAliveOptions{BodySize: -2}); err == nil {
		t.Error("a negative body size is accepted")
	}
}
