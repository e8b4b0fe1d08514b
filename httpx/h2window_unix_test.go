//go:build unix

package httpx_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// uploader is a client that knows how much it may send.
type uploader struct {
	fr      *http2.Framer
	window  atomic.Int64
	answers chan string
}

func newUploader(conn net.Conn) *uploader {
	u := &uploader{fr: http2.NewFramer(conn, conn), answers: make(chan string, 100)}
	u.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	u.window.Store(65535)
	go u.hear()
	return u
}

func (u *uploader) hear() {
	for {
		f, err := u.fr.ReadFrame()
		if err != nil {
			u.answers <- err.Error()
			return
		}
		switch f := f.(type) {
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				u.window.Add(int64(f.Increment))
			}
		case *http2.MetaHeadersFrame:
			u.answers <- f.PseudoValue("status")
		case *http2.GoAwayFrame, *http2.RSTStreamFrame:
			u.answers <- fmt.Sprint(f)
		}
	}
}

// post sends a body in one frame.
func (u *uploader) post(t *testing.T, stream uint32, body int) {
	t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
		if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	u.window.Add(-int64(body))
	if err := u.fr.WriteData(stream, true, make([]byte, body)); err != nil {
		t.Fatal(err)
	}
}

// What a client may send must not grow by moves: the server would refuse what goes beyond its own window.
func TestHTTP2WindowOverMoves(t *testing.T) {
	for _, k := range bothH2 {
		t.Run(k.name, func(t *testing.T) {
			g := k.generation(t, k.server(status(201)))
			conn := k.dial(t, g)
			if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
				t.Fatal(err)
			}
			u := newUploader(conn)
			for _, err := range []error{u.fr.WriteSettings(), u.fr.WriteSettingsAck()} {
				if err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "a window", func() bool { return u.window.Load() > 65535 })
			most := u.window.Load()
			for m := range 12 {
				u.post(t, uint32(2*m+1), 3000)
				if got := <-u.answers; got != fmt.Sprint(201+m) {
					t.Fatalf("move %d: %s", m, got)
				}
				next := k.generation(t, k.server(status(201+m+1)))
				g.replaceBy(t, next)
				g.wantMoved(t, 1)
				g = next
				if now := u.window.Load(); now > most {
					t.Fatalf("after %d moves the client may send %d bytes, and the server takes %d", m+1, now, most)
				}
			}
		})
	}
}
