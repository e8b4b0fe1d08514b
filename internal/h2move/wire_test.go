package h2move_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire has the frames of one side.
type wire struct {
	bytes.Buffer
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

func newWire() *wire {
	w := new(wire)
	w.Framer = http2.NewFramer(&w.Buffer, nil)
	w.enc = hpack.NewEncoder(&w.block)
	return w
}

// must is for what a Framer writes into memory.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// take returns what has been written since the last call.
func (w *wire) take() []byte {
	b := bytes.Clone(w.Bytes())
	w.Reset()
	return b
}

// fields returns a header block of a request, with fields "name: value".
func (w *wire) fields(fields ...string) []byte {
	w.block.Reset()
	for _, f := range append([]string{":method: GET", ":scheme: http", ":authority: x", ":path: /"}, fields...) {
		name, value, _ := strings.Cut(f[1:], ": ")
		_ = w.enc.WriteField(hpack.HeaderField{Name: f[:1] + name, Value: value})
	}
	return bytes.Clone(w.block.Bytes())
}

// get begins a stream, and ends it.
func (w *wire) get(tb testing.TB, stream uint32, fields ...string) {
	tb.Helper()
	must(tb, w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.fields(fields...), EndHeaders: true, EndStream: true}))
}

// pieces calls do with b in pieces of the sizes, plus one each, over and over; all at once without sizes.
func pieces(b, sizes []byte, do func([]byte)) {
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if len(sizes) > 0 {
			n = min(n, 1+int(sizes[i%len(sizes)]))
		}
		do(b[:n])
		b = b[n:]
	}
}
