package wsx_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/wsx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Without gozd a library serves the WebSocket as without wsx.
func TestAnyServer(t *testing.T) {
	refused := make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := wsx.New(w, r)
		defer c.Close()
		websocket.Handler(func(ws *websocket.Conn) { _, _ = io.Copy(ws, ws) }).ServeHTTP(c, c.Request())
		refused <- c.Handover(nil)
	}))
	defer srv.Close()
	ws, err := websocket.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), "", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"hello", "", strings.Repeat("x", 100_000)} {
		if err := websocket.Message.Send(ws, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(ws, got); err != nil || string(got) != text {
			t.Errorf("%.20q, %v, want %.20q", got, err, text)
		}
	}
	ws.Close()
	if err := <-refused; !errors.Is(err, listen.ErrNoSuccessor) {
		t.Errorf("Handover = %v, want ErrNoSuccessor", err)
	}
}

// received is what a server reads as its first message, of a client that sends data right behind its request, and then no more.
func received(t *testing.T, data string) (text string, err error) {
	t.Helper()
	read := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := wsx.New(w, r)
		defer c.Close()
		websocket.Server{Handler: func(ws *websocket.Conn) {
			err = websocket.Message.Receive(ws, &text)
			close(read)
		}}.ServeHTTP(c, c.Request())
	}))
	defer srv.Close()
	conn, dialErr := net.Dial("tcp", srv.Listener.Addr().String())
	if dialErr != nil {
		t.Fatal(dialErr)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"+data)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-read
	return text, err
}

// What the client has sent right behind its request comes first.
func TestClientDoesNotWait(t *testing.T) {
	if text, err := received(t, "\x81\x85\x00\x00\x00\x00early"); text != "early" || err != nil {
		t.Errorf("message %q, %v, want early", text, err)
	}
}

// A client that is gone in the middle of a frame has sent no message.
func TestHalfAFrame(t *testing.T) {
	if text, err := received(t, "\x81\x91\x00\x00\x00\x00pay 100"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a frame: %q, %v, want %v", text, err, io.ErrUnexpectedEOF)
	}
}

// resumed returns a WebSocket that has come, and its client.
func resumed(t *testing.T, data string) (*wsx.Conn, net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	deadline := time.Now().Add(time.Minute)
	client.SetDeadline(deadline)
	c, _, err := wsx.Resume(server, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, client
}

// A library makes its handshake anew without the client, who gets frames alone, and what was read before comes first.
func TestResume(t *testing.T) {
	for _, writesItself := range []bool{false, true} {
		c, client := resumed(t, `{"v":1,"protocol":"chat","ahead":"gYJhYWFhCQg=","program":"c3RhdGU=","later":"unknown"}`)
		r := c.Request()
		if r.Header.Get("Sec-Websocket-Protocol") != "chat" || r.Header.Get("Sec-Websocket-Extensions") != "" || r.Method != http.MethodGet {
			t.Errorf("request %+v", r)
		}
		answer := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
		if !writesItself {
			answer = ""
			c.Header().Set("Sec-WebSocket-Protocol", "chat")
			c.WriteHeader(http.StatusSwitchingProtocols)
		}
		conn, rw, err := c.Hijack()
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan []byte)
		go func() {
			b := make([]byte, 4)
			_, _ = io.ReadFull(client, b)
			read <- b
		}()
		if n, err := conn.Write([]byte(answer + "\x81\x02hi")); err != nil || n != len(answer)+4 {
			t.Errorf("Write = %d, %v", n, err)
		}
		if got := <-read; string(got) != "\x81\x02hi" {
			t.Errorf("the client gets %q, want one frame", got)
		}
		if b := make([]byte, 8); true {
			if _, err := io.ReadFull(rw, b); err != nil || !bytes.Equal(b, []byte("\x81\x82aaaa\x09\x08")) {
				t.Errorf("read %q, %v", b, err)
			}
		}
	}
}

// A library that agrees to something else than its client was promised gets no connection.
func TestAnotherAgreement(t *testing.T) {
	for _, data := range []string{`{"v":1,"protocol":"chat"}`, `{"v":1,"deflate":true}`} {
		c, _ := resumed(t, data)
		c.WriteHeader(http.StatusSwitchingProtocols)
		if _, _, err := c.Hijack(); err == nil || !strings.Contains(err.Error(), "was promised") {
			t.Errorf("%s: Hijack = %v, want that the client was promised something else", data, err)
		}
		c, _ = resumed(t, data)
		conn, _, err := c.Hijack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n")); err == nil || !strings.Contains(err.Error(), "was promised") {
			t.Errorf("%s: Write = %v, want that the client was promised something else", data, err)
		}
	}
}

func TestResumeNonsense(t *testing.T) {
	for _, data := range []string{"", "x", "{}", `{"v":2}`, `{"v":1,"ahead":"?"}`, `{"v":1,"protocol":"a\r\nb"}`, `{"v":1,"protocol":"a,b"}`} {
		client, server := net.Pipe()
		if _, _, err := wsx.Resume(server, []byte(data)); err == nil {
			t.Errorf("%q is resumed", data)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%q: read %v, want that the connection is closed", data, err)
		}
		client.Close()
	}
}

// A handler that finds no WebSocket answers as ever.
func TestRefusal(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := wsx.New(w, r)
		defer c.Close()
		http.Error(c, "no", http.StatusForbidden)
	}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", resp.StatusCode)
	}
}

// Where a message has been begun, nobody can go on with the WebSocket; the library gets an error where it expects one.
func TestHandoverInAMessage(t *testing.T) {
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "web"})
	done := make(chan struct{})
	srv := &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		c := wsx.New(w, r)
		defer c.Close()
		conn, _, err := c.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05he")
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, wsx.ErrDraining) {
			t.Errorf("Read = %d, %v, want ErrDraining", n, err)
		}
		if err := c.Handover(nil); !errors.Is(err, listen.ErrNoSuccessor) {
			t.Errorf("Handover = %v, want ErrNoSuccessor", err)
		}
		conn, _, err = c.Hijack()
		if err != nil {
			t.Errorf("Hijack = %v; a library could panic", err)
			return
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, listen.ErrNoSuccessor) {
			t.Errorf("Read = %d, %v, want Handover's error", n, err)
		}
		if n, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n"); !errors.Is(err, listen.ErrNoSuccessor) {
			t.Errorf("Write = %d, %v, want Handover's error", n, err)
		}
	})}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	defer func() {
		srv.Close()
		<-served
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for got := ""; !strings.HasSuffix(got, "he"); {
		b := make([]byte, 64)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got += string(b[:n])
	}
	ln.StopAccepting()
	<-done
}
