package load_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// answerLine answers one line as a tcp group does.
func answerLine(conn net.Conn, br *bufio.Reader) {
	if line, err := br.ReadString('\n'); err == nil {
		fmt.Fprintf(conn, "%d %s", os.Getpid(), line)
	}
}

func serveLines(t *testing.T) load.Target {
	t.Helper()
	return serveConns(t, func(_ int, conn net.Conn) {
		br := bufio.NewReader(conn)
		for {
			if _, err := br.Peek(1); err != nil {
				return
			}
			answerLine(conn, br)
		}
	})
}

func TestLinesAreAnsweredOnOneConnection(t *testing.T) {
	for _, look := range []bool{false, true} {
		c := closing[*load.Lines](t)(load.NewLines(serveLines(t), load.LinesOptions{ReconnectOnEOF: look}))
		for i := range 5 {
			if r := mustDo(t, c); r.Generation != 0 || r.Dialed != (i == 0) {
				t.Errorf("line %d: %+v, want no generation, and one connection", i+1, r)
			}
		}
	}
}

func TestLinesOneShotOpensConnectionPerLine(t *testing.T) {
	c := closing[*load.Lines](t)(load.NewLines(serveLines(t), load.LinesOptions{OneShot: true}))
	for range 3 {
		if r := mustDo(t, c); !r.Dialed || r.Reconnected {
			t.Errorf("%+v, want a new connection that is no reconnect", r)
		}
	}
}

// serveCounted answers lines as a group that counts them, on each connection from
// first on, in steps.
func serveCounted(t *testing.T, first, step int) load.Target {
	t.Helper()
	return serveConns(t, func(_ int, conn net.Conn) {
		br := bufio.NewReader(conn)
		for n := first; ; n += step {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "%d %d %s", os.Getpid(), n, line)
		}
	})
}

func TestLinesAreCounted(t *testing.T) {
	for _, oneShot := range []bool{false, true} {
		c := closing[*load.Lines](t)(load.NewLines(serveCounted(t, 1, 1), load.LinesOptions{Counted: true, OneShot: oneShot}))
		for i := range 12 {
			if r := mustDo(t, c); r.Dialed != (oneShot || i == 0) {
				t.Errorf("line %d: %+v, one connection per line is %v", i+1, r, oneShot)
			}
		}
	}
}

func TestLinesNoticeWrongCounts(t *testing.T) {
	counted := load.LinesOptions{Counted: true}
	for _, tt := range []struct {
		name     string
		target   load.Target
		good     int // lines before the one that fails
		want     string
		wantLine string
	}{
		{"begins at 0", serveCounted(t, 0, 1), 0, `count "0", want 1`, "request 1 on connection 1"},
		{"stands still", serveCounted(t, 1, 0), 1, `count "1", want 2`, "request 2 on connection 1"},
		{"skips one", serveCounted(t, 1, 2), 1, `count "3", want 2`, "request 2 on connection 1"},
		{"goes back", serveCounted(t, 1, -1), 1, `count "0", want 2`, "request 2 on connection 1"},
		{"does not count", serveLines(t), 0, `count "n", want 1`, "request 1 on connection 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := closing[*load.Lines](t)(load.NewLines(tt.target, counted))
			for range tt.good {
				mustDo(t, c)
			}
			mustFail(t, c, tt.want, tt.wantLine)
		})
	}
}

// A line in two parts is one line.
func TestLinesInTwoParts(t *testing.T) {
	const split = 5 * time.Millisecond
	c := closing[*load.Lines](t)(load.NewLines(serveCounted(t, 1, 1), load.LinesOptions{Counted: true, Split: split}))
	for range 3 {
		if r := mustDo(t, c); r.Took < split {
			t.Errorf("the exchange took %v, want at least %v", r.Took, split)
		}
	}
}

// The kinds that may look for an end of file before they send, with a server
// that ends the connection after its first answer.
func TestEndOfConnectionWhileIdle(t *testing.T) {
	answerUpgrade := func(conn net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 101 X\r\nUpgrade: echo\r\nX-Gozd-Generation: 1\r\nX-Gozd-Pid: %d\r\n\r\n", os.Getpid())
		line, _ := br.ReadString('\n')
		io.WriteString(conn, line)
	}
	kinds := []struct {
		name      string
		answer    func(net.Conn, *bufio.Reader)
		newClient func(target load.Target, look bool) (load.Client, error)
	}{
		{"lines", answerLine, func(target load.Target, look bool) (load.Client, error) {
			return load.NewLines(target, load.LinesOptions{ReconnectOnEOF: look})
		}},
		{"hijack", answerUpgrade, func(target load.Target, look bool) (load.Client, error) {
			return load.NewHijack(target, load.HijackOptions{ReconnectOnEOF: look})
		}},
		{"fastcgi", answerFCGI, func(target load.Target, look bool) (load.Client, error) {
			return load.NewFastCGI(target, load.FastCGIOptions{KeepConn: true, ReconnectOnEOF: look})
		}},
	}
	for _, k := range kinds {
		t.Run(k.name+" looks and finds EOF", func(t *testing.T) {
			target, closed := closedWhileIdle(t, k.answer, closeConn)
			c := closing[load.Client](t)(k.newClient(target, true))
			mustDo(t, c)
			<-closed
			if r := mustDo(t, c); !r.Reconnected || !r.Dialed {
				t.Errorf("after EOF: %+v, want a reconnect", r)
			}
		})
		t.Run(k.name+" does not look", func(t *testing.T) {
			target, closed := closedWhileIdle(t, k.answer, closeConn)
			c := closing[load.Client](t)(k.newClient(target, false))
			mustDo(t, c)
			<-closed
			mustFail(t, c, k.name, "request 2 on connection 1")
		})
		t.Run(k.name+" looks and finds a reset", func(t *testing.T) {
			target, closed := closedWhileIdle(t, k.answer, reset)
			c := closing[load.Client](t)(k.newClient(target, true))
			mustDo(t, c)
			<-closed
			mustFail(t, c, "look before sending", "reset")
		})
		t.Run(k.name+" looks and finds data", func(t *testing.T) {
			answered := make(chan bool)
			target, sent := closedWhileIdle(t, k.answer, func(conn net.Conn) {
				<-answered
				io.WriteString(conn, "hello")
			})
			c := closing[load.Client](t)(k.newClient(target, true))
			mustDo(t, c)
			close(answered)
			<-sent
			mustFail(t, c, "look before sending", "5 bytes that nobody asked for")
		})
	}
}

func TestLinesLookThroughTLS(t *testing.T) {
	server, client := testTLS(t, "http/1.1")
	closed := make(chan bool, 2)
	target := serveConns(t, func(_ int, conn net.Conn) {
		secure := tls.Server(conn, server)
		answerLine(secure, bufio.NewReader(secure))
		secure.Close() // with close_notify
		closed <- true
	})
	target.TLS = client
	c := closing[*load.Lines](t)(load.NewLines(target, load.LinesOptions{ReconnectOnEOF: true}))
	mustDo(t, c)
	<-closed
	if r := mustDo(t, c); !r.Reconnected {
		t.Errorf("after close_notify: %+v, want a reconnect", r)
	}
}

func TestLinesNoticeWrongAnswers(t *testing.T) {
	tests := []struct{ name, answer, want string }{
		{"nothing", "", "lines: read line: EOF after 0 bytes; request 1 on connection 1"},
		{"half a line", "12 n", "read line: EOF after 4 bytes"},
		{"no pid", "me n 1 1\n", `answer "me n 1 1\n" does not begin with a pid`},
		{"one word", "12\n", "does not begin with a pid"},
		{"other line", "12 something\n", "body differs from what was sent at byte 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := serveConns(t, func(_ int, conn net.Conn) {
				bufio.NewReader(conn).ReadString('\n')
				io.WriteString(conn, tt.answer)
			})
			mustFail(t, closing[*load.Lines](t)(load.NewLines(target, load.LinesOptions{})), tt.want)
		})
	}
}

func TestThinkTimeIsNotInTook(t *testing.T) {
	c := closing[*load.Lines](t)(load.NewLines(serveLines(t), load.LinesOptions{Think: 50 * time.Millisecond}))
	start := time.Now()
	var took time.Duration
	for range 10 {
		took += mustDo(t, c).Took
	}
	if all := time.Since(start); took > all/2 {
		t.Errorf("the exchanges took %v of %v", took, all)
	}
}
