package httpx_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// client2 is a client of HTTP/2 that does only what its test says, except that
// it answers SETTINGS.
type client2 struct {
	conn   net.Conn
	frames chan string // what the server says; closed with the connection

	mu  sync.Mutex // guards what follows
	fr  *http2.Framer
	enc *hpack.Encoder
	buf bytes.Buffer
}

// newClient2 sends the preface and begins to read.
func newClient2(t *testing.T, conn net.Conn) *client2 {
	t.Helper()
	c := &client2{conn: conn, frames: make(chan string, 1000), fr: http2.NewFramer(conn, conn)}
	c.enc = hpack.NewEncoder(&c.buf)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fr.MaxHeaderListSize = math.MaxInt32
	t.Cleanup(func() { conn.Close() })
	c.do(t, func() error {
		// It must not answer before the preface is written, which in turn is
		// not read before the server's session tickets are.
		go c.readFrames()
		if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
			return err
		}
		// Streams, and below the connection, are never held up by windows.
		if err := c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: math.MaxInt32}); err != nil {
			return err
		}
		return c.fr.WriteWindowUpdate(0, math.MaxInt32-65535)
	})
	return c
}

func (c *client2) do(t *testing.T, f func() error) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f(); err != nil {
		t.Fatal(err)
	}
}

// readFrames says in words what the server sends.
func (c *client2) readFrames() {
	defer close(c.frames)
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			c.frames <- endOf(err)
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.mu.Lock()
				_ = c.fr.WriteSettingsAck() // the next read says what is wrong
				c.mu.Unlock()
			}
		case *http2.WindowUpdateFrame:
		case *http2.GoAwayFrame:
			c.frames <- fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
		case *http2.PingFrame:
			c.frames <- fmt.Sprintf("PING %s", f.Data)
		case *http2.MetaHeadersFrame:
			c.frames <- fmt.Sprintf("HEADERS %d %s", f.StreamID, f.PseudoValue("status"))
		case *http2.DataFrame:
			if f.StreamEnded() {
				c.frames <- fmt.Sprintf("END %d", f.StreamID)
			}
		default:
			c.frames <- fmt.Sprint(f)
		}
	}
}

// endOf says how a connection ended. The in-memory one ends without TLS's own
// goodbye.
func endOf(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ended
	}
	return "end: " + err.Error()
}

// get opens a stream.
func (c *client2) get(t *testing.T, stream uint32, path string) {
	t.Helper()
	c.do(t, func() error { return c.fr.WriteHeaders(c.headers(stream, path)) })
}

func (c *client2) headers(stream uint32, path string) http2.HeadersFrameParam {
	c.buf.Reset()
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", path}} {
		c.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return http2.HeadersFrameParam{StreamID: stream, BlockFragment: bytes.Clone(c.buf.Bytes()), EndHeaders: true, EndStream: true}
}

// ackPing answers the server's PING.
func (c *client2) ackPing(t *testing.T, data string) {
	t.Helper()
	c.do(t, func() error { return c.fr.WritePing(true, [8]byte([]byte(data))) })
}

// want wants the server to say all that, in that order.
func (c *client2) want(t *testing.T, all ...string) {
	t.Helper()
	for _, want := range all {
		if got := c.next(t); got != want {
			t.Fatalf("the server says %q, want %q", got, want)
		}
	}
}

// wantAnswer wants the whole answer to one stream.
func (c *client2) wantAnswer(t *testing.T, stream uint32) {
	t.Helper()
	c.want(t, fmt.Sprintf("HEADERS %d 200", stream), fmt.Sprintf("END %d", stream))
}

// next returns what the server says next; "" after the end.
func (c *client2) next(t *testing.T) string {
	t.Helper()
	select {
	case f := <-c.frames:
		return f
	case <-time.After(24 * time.Hour): // the clock of a bubble
		t.Fatal("the server says nothing for a day")
		return ""
	}
}

// wantNothing wants the server to be silent, and the connection to stay open.
func (c *client2) wantNothing(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case f := <-c.frames:
		t.Fatalf("the server says %q, want nothing", f)
	case <-time.After(d):
	}
}
