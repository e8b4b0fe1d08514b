//go:build unix

package httpx_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// layer is a listener that others put around gozd's.
type layer struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l *layer) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

func layerOf(wrap func(net.Conn) net.Conn) func(net.Listener) net.Listener {
	return func(ln net.Listener) net.Listener { return &layer{ln, wrap} }
}

// embedding is a layer as most are, such as that of netutil.LimitListener.
type embedding struct{ net.Conn }

// readingBy is a layer with another reader.
type readingBy struct {
	net.Conn
	r io.Reader
}

func (c *readingBy) Read(b []byte) (int, error) { return c.r.Read(b) }

// skipping swallows the first bytes, once it is read.
type skipping struct {
	net.Conn
	left int
}

func (c *skipping) Read(b []byte) (int, error) {
	for ; c.left > 0; c.left-- {
		if _, err := c.Conn.Read(make([]byte, 1)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

// flipping deciphers.
type flipping struct{ net.Conn }

func (c flipping) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for i := range b[:n] {
		b[i] ^= 0xff
	}
	return n, err
}

// hiding shows nobody what it is over.
type hiding struct{ nameless }

type nameless interface{ net.Conn }

// TestLayers has connections move through layers that hand on what they read, whether they keep it for a while or not, and stay
// where a layer knows something of the connection: there the client is told to go with its next answer.
func TestLayers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		wrap   func(net.Conn) net.Conn
		moves  bool
		hidden bool
		prefix string // what the client sends first
		flip   bool
	}{
		{name: "embedding", moves: true, wrap: func(c net.Conn) net.Conn { return &embedding{c} }},
		{name: "two", moves: true, wrap: func(c net.Conn) net.Conn { return &embedding{&embedding{c}} }},
		{name: "reading ahead", moves: true, wrap: func(c net.Conn) net.Conn {
			return &readingBy{c, bufio.NewReaderSize(c, 16<<10)}
		}},
		{name: "reading before Accept returns", moves: true, wrap: func(c net.Conn) net.Conn {
			br := bufio.NewReader(c)
			_, _ = br.Peek(4)
			return &readingBy{c, br}
		}},
		{name: "a header", prefix: "PROXY 1 2 3\r\n", wrap: func(c net.Conn) net.Conn { return &skipping{c, 13} }},
		{name: "a header, read before Accept returns", prefix: "PROXY 1 2 3\r\n", wrap: func(c net.Conn) net.Conn {
			_, _ = io.ReadFull(c, make([]byte, 13))
			return &embedding{c}
		}},
		{name: "a cipher", flip: true, wrap: func(c net.Conn) net.Conn { return flipping{c} }},
		{name: "writing past", wrap: func(c net.Conn) net.Conn { return writingPast{c} }},
		{name: "hidden", hidden: true, wrap: func(c net.Conn) net.Conn { return hiding{c} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := newLayered(t, "tcp", &http.Server{Handler: by("old")}, layerOf(tt.wrap))
			next := newLayered(t, "tcp", &http.Server{Handler: by("new")}, layerOf(tt.wrap))
			c := old.client(t)
			_, _ = io.WriteString(c, tt.prefix)
			const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
			ask := func(body string) {
				b := []byte(request + body)
				for i := range b {
					if tt.flip {
						b[i] ^= 0xff
					}
				}
				_, _ = c.Write(b)
			}
			ask("body")
			c.wantBy(t, "old", "body")
			old.replaceBy(t, next)
			if tt.moves {
				old.wantMoved(t, 1)
				ask("more")
				c.wantBy(t, "new", "more")
				return
			}
			time.Sleep(50 * time.Millisecond) // it must not move: there is nothing that says that it will not
			ask("more")
			resp := c.response(t)
			if !resp.Close {
				t.Errorf("the answer has no Connection: close, %v", resp.Header)
			}
			if s := old.Stats(); s.Out != 0 {
				t.Errorf("%d connections moved that must not", s.Out)
			}
			select {
			case kind := <-old.hidden:
				if !tt.hidden || kind != "httpx_test.hiding" {
					t.Errorf("layer %s is reported as hiding connections", kind)
				}
			default:
				if tt.hidden {
					t.Error("the layer is not reported")
				}
			}
		})
	}
}

// TestLayerWithRequestsBehind has two requests arrive at once, and a layer that reads more than it is asked for: the second is answered
// before the connection moves.
func TestLayerWithRequestsBehind(t *testing.T) {
	wrap := func(c net.Conn) net.Conn { return &readingBy{c, bufio.NewReaderSize(c, 16<<10)} }
	inHandler, release := make(chan struct{}, 2), make(chan struct{})
	answer := by("old")
	old := newLayered(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inHandler <- struct{}{}
		<-release
		answer.ServeHTTP(w, r)
	})}, layerOf(wrap))
	next := newLayered(t, "tcp", &http.Server{Handler: by("new")}, layerOf(wrap))
	c := old.client(t)
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	_, _ = io.WriteString(c, request+request+request[:20])
	<-inHandler
	old.replaceBy(t, next)
	close(release)
	c.wantBy(t, "old", "body")
	c.wantBy(t, "old", "body")
	if s := old.Stats(); s.Out != 0 {
		t.Error("it moved with half a request")
	}
	_, _ = io.WriteString(c, request[20:])
	c.wantBy(t, "old", "body")
	old.wantMoved(t, 1)
	_, _ = io.WriteString(c, request)
	c.wantBy(t, "new", "body")
}

// writingLater is a layer that writes when nothing more has come for a while.
type writingLater struct {
	net.Conn

	mu      sync.Mutex // guards what follows
	pending []byte
	flusher *time.Timer
}

func (c *writingLater) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, b...)
	if c.flusher == nil {
		c.flusher = time.AfterFunc(50*time.Millisecond, c.flush)
	} else {
		c.flusher.Reset(50 * time.Millisecond)
	}
	return len(b), nil
}

func (c *writingLater) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.Conn.Write(c.pending)
	c.pending = nil
}

// TestLayerThatWritesLater has a layer hold the answer that was under way when the drain began: the connection moves when it has left.
func TestLayerThatWritesLater(t *testing.T) {
	wrap := func(c net.Conn) net.Conn { return &writingLater{Conn: c} }
	inHandler, release := make(chan struct{}), make(chan struct{})
	answer := by("old")
	old := newLayered(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inHandler)
		<-release
		answer.ServeHTTP(w, r)
	})}, layerOf(wrap))
	next := newLayered(t, "tcp", &http.Server{Handler: by("new")}, layerOf(wrap))
	c := old.client(t)
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	_, _ = io.WriteString(c, request)
	<-inHandler
	old.replaceBy(t, next)
	close(release)
	c.wantBy(t, "old", "body")
	old.wantMoved(t, 1)
	_, _ = io.WriteString(c, request)
	c.wantBy(t, "new", "body")
}

// writingPast is a layer that writes to the socket itself.
type writingPast struct{ net.Conn }

func (c writingPast) Write(b []byte) (int, error) {
	below, _ := c.Conn.(interface{ NetConn() net.Conn })
	return below.NetConn().Write(b)
}
