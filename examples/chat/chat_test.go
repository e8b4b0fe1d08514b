package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is a user in memory.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// chat serves in memory. It returns the listener, and what connects a user.
func chat(t *testing.T) (*listener.Listener, func() *client) {
	t.Helper()
	mem := memnet.Listen()
	ln := listener.New(mem, listener.Options{Group: "chat"})
	var served sync.WaitGroup
	served.Go(func() { tcpx.Serve(ln, newHall(1).serve) })
	t.Cleanup(func() {
		ln.Close()
		served.Wait()
	})
	return ln, func() *client {
		t.Helper()
		conn, err := mem.Dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		c := &client{t, conn, bufio.NewReader(conn)}
		c.want(usage)
		return c
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// want wants lines to come next.
func (c *client) want(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		want = strings.TrimSuffix(want, "\n") + "\n"
		if got, err := c.r.ReadString('\n'); err != nil || got != want {
			c.t.Fatalf("line %q, %v, want %q", got, err, want)
		}
	}
}

func (c *client) wantEOF() {
	c.t.Helper()
	if got, err := c.r.ReadString('\n'); !errors.Is(err, io.EOF) {
		c.t.Errorf("line %q, %v, want the end", got, err)
	}
}

func TestProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := chat(t)
		ann := connect()
		for _, tt := range []struct{ send, want string }{
			{"hello", "* nobody hears you: /join ROOM"},
			{"/who", "* you are in no room"},
			{"/stats", "* guest1.1: said 0, heard 0, moved 0, generation 1"},
			{"/nick ann", "* you are ann"},
			{"/nick  two words", "* a name has 1 to 20 letters, digits, dots, dashes and underlines"},
			{"/nick", "* a name has 1 to 20 letters, digits, dots, dashes and underlines"},
			{"/join " + strings.Repeat("x", 21), "* a name has 1 to 20 letters, digits, dots, dashes and underlines"},
			{"/join go", "* ann is in go"},
			{"\n/who\r", "* in go: ann"}, // an empty line says nothing
			{"hello", "ann: hello"},
			{" /who", "ann:  /who"},
			{"/dance", usage},
			{"/stats", "* ann: said 2, heard 0, moved 0, generation 1"},
			{"/quit", "* bye"},
		} {
			ann.send(tt.send + "\n")
			ann.want(tt.want)
		}
		ann.wantEOF()
	})
}

func TestRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := chat(t)
		ann, bob, eve := connect(), connect(), connect()
		ann.send("/nick ann\n/join go\n")
		ann.want("* you are ann", "* ann is in go")
		bob.send("/nick bob\n/join go\n")
		bob.want("* you are bob", "* bob is in go")
		eve.send("/join c\nhello\n")
		eve.want("* guest1.3 is in c", "guest1.3: hello")
		ann.want("* bob is in go")
		ann.send("one\n/who\n")
		ann.want("ann: one", "* in go: ann bob")
		bob.want("ann: one")
		bob.send("/nick rob\n/join go\n/stats\n")
		bob.want("* rob was bob", "* rob is in go", "* rob: said 0, heard 1, moved 0, generation 1")
		ann.want("* rob was bob", "* rob is in go")
		bob.send("/join c\n")
		ann.want("* rob has left")
		eve.want("* rob is in c")
		bob.want("* rob is in c")
		eve.conn.Close()
		bob.want("* guest1.3 has left")
		bob.send("half a line")
		bob.conn.Close()
		ann.send("/stats\n")
		ann.want("* ann: said 1, heard 0, moved 0, generation 1")
	})
}

func TestFullRoom(t *testing.T) {
	h := newHall(1)
	for range maxRoom {
		if !h.join(h.enter(), "go") {
			t.Fatal("full too early")
		}
	}
	m := h.enter()
	h.obey(m, "/join", "c")
	m.out.pending = nil
	h.obey(m, "/join", "go")
	wantOut(t, m, "* go is full\n")
	if m.room != "c" {
		t.Errorf("in %q, want c still", m.room)
	}
}

func TestLongLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := chat(t)
		c := connect()
		c.send("/join go\n")
		c.want("* guest1.1 is in go")
		long := strings.Repeat("x", maxLine-1)
		go io.WriteString(c.conn, long+"\n"+long+"xx")
		c.want("guest1.1: "+long, "* a line has at most 1024 bytes")
		c.wantEOF()
	})
}

// A client that does not read is disconnected, and nobody waits for it.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := chat(t)
		deaf, ann := connect(), connect()
		for _, c := range []*client{deaf, ann} {
			c.send("/join go\n")
		}
		deaf.want("* guest1.1 is in go")
		ann.want("* guest1.2 is in go")
		for text := strings.Repeat("x", 1000); ; {
			ann.send(text + "\n")
			line, err := ann.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "* guest1.1 has left\n" {
				return
			}
		}
	})
}

// Without a successor everybody goes on, also with the line that he is typing.
func TestNobodyTakesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, connect := chat(t)
		ann, bob := connect(), connect()
		ann.send("/join go\n")
		ann.want("* guest1.1 is in go")
		bob.send("/join go\nhel")
		bob.want("* guest1.2 is in go")
		ann.want("* guest1.2 is in go")
		ln.StopAccepting()
		time.Sleep(time.Hour)
		bob.send("lo\n/stats\n")
		bob.want("guest1.2: hello", "* guest1.2: said 1, heard 0, moved 0, generation 1")
		ann.want("guest1.2: hello")
		ann.send("/quit\n")
		ann.want("* bye")
		ann.wantEOF()
		bob.want("* guest1.1 has left")
	})
}
