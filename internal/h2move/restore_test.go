package h2move_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
)

// restored is a server's end of a connection, on which that is brought into a state.
type restored struct {
	net.Conn
	*h2move.Restore
	handler http.Handler // of the client's requests
}

func (c *restored) Read(b []byte) (int, error) {
	if n := c.Restore.Read(b); n > 0 {
		return n, nil
	}
	return c.Conn.Read(b)
}

func (c *restored) Write(b []byte) (int, error) {
	if c.IsOver() {
		return c.Conn.Write(b)
	}
	rest, err := c.Restore.Write(b)
	if err == nil && len(rest) > 0 {
		_, err = c.Conn.Write(rest)
	}
	return len(b), err
}

func (c *restored) Close() error {
	c.Restore.Close()
	return c.Conn.Close()
}

func (c *restored) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.IsOver() {
		c.handler.ServeHTTP(w, r)
		return
	}
	c.Restore.ServeHTTP(w, r)
}

// restore brings a server into s, and returns the client's end.
func restore(t *testing.T, s *h2move.State, srv *http2.Server, h http.Handler) (client net.Conn, c *restored) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	must(t, err)
	server, err := ln.Accept()
	must(t, err)
	c = &restored{Conn: server, Restore: h2move.NewRestore(s), handler: h}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.ServeConn(c, &http2.ServeConnOpts{Handler: c, SawClientPreface: true})
	}()
	t.Cleanup(func() {
		client.Close()
		<-ended
	})
	client.SetDeadline(time.Now().Add(30 * time.Second))
	return client, c
}

// fullTable is one of 4096 bytes, with entries twice, and such as are no valid fields, or not together.
func fullTable() (table []hpack.HeaderField) {
	table = []hpack.HeaderField{{Name: "x", Value: "twice"}, {Name: "x", Value: "twice"}, {Name: "Not Valid", Value: "\x00\r\n"}, {Name: ":path", Value: "/a"}, {}}
	size := 0
	for _, f := range table {
		size += int(f.Size())
	}
	for i := 0; ; i++ {
		f := hpack.HeaderField{Name: fmt.Sprint("x-", i), Value: strings.Repeat("v", i%100)}
		if size += int(f.Size()); size > 4096 {
			return table
		}
		table = append(table, f)
	}
}

func settings(id http2.SettingID, val uint32) h2move.Settings {
	return h2move.Settings{{ID: id, Val: val}}
}

func TestRestore(t *testing.T) {
	const usual = 65535
	tests := []struct {
		name  string
		state h2move.State
	}{
		{"nothing has been said", h2move.State{SendWindow: usual}},
		{"a stream", h2move.State{Last: 1, SendWindow: usual}},
		{"the third", h2move.State{Last: 3, SendWindow: usual}},
		{"the last but one", h2move.State{Last: math.MaxInt32 - 2, SendWindow: usual}},
		{"no window", h2move.State{Last: 5, SendWindow: 0}},
		{"an odd window", h2move.State{Last: 5, SendWindow: 12345}},
		{"a window by one smaller", h2move.State{Last: 5, SendWindow: usual - 1}},
		{"a larger window", h2move.State{Last: 5, SendWindow: usual + 1}},
		{"the largest window", h2move.State{SendWindow: math.MaxInt32}},
		{"small windows of streams", h2move.State{Last: 5, SendWindow: 7, Theirs: settings(http2.SettingInitialWindowSize, 1)}},
		{"no windows of streams", h2move.State{Last: 5, SendWindow: 7, Theirs: settings(http2.SettingInitialWindowSize, 0)}},
		{"large frames", h2move.State{Last: 5, SendWindow: 1, Theirs: settings(http2.SettingMaxFrameSize, 1<<24-1)}},
		{"no table of the client's", h2move.State{Last: 5, SendWindow: usual, Theirs: settings(http2.SettingHeaderTableSize, 0)}},
		{"a large table of the client's", h2move.State{Last: 5, SendWindow: usual, Theirs: settings(http2.SettingHeaderTableSize, math.MaxUint32)}},
		{"all settings", h2move.State{Last: 5, SendWindow: 100, Theirs: h2move.Settings{
			{ID: http2.SettingHeaderTableSize, Val: 100},
			{ID: http2.SettingEnablePush, Val: 0},
			{ID: http2.SettingMaxConcurrentStreams, Val: 1},
			{ID: http2.SettingInitialWindowSize, Val: math.MaxInt32},
			{ID: http2.SettingMaxFrameSize, Val: 16384},
			{ID: http2.SettingMaxHeaderListSize, Val: math.MaxUint32},
		}}},
		{"a full table", h2move.State{Last: 5, SendWindow: usual, Table: fullTable()}},
		{"a table after the first stream", h2move.State{Last: 1, SendWindow: 3, Table: fullTable()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { testRestore(t, &tt.state) })
	}
}

// testRestore brings a server into s, sends a request with all that is in the client's table, and wants as many bytes in the answer as the windows allow.
func testRestore(t *testing.T, s *h2move.State) {
	t.Helper()
	got := make(chan http.Header, 1)
	client, c := restore(t, s, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		w.Header().Set("X-Answer", "yes")
		w.Write(make([]byte, 1<<17))
	}))
	stream := s.Last + 2
	if s.Last == 0 {
		stream = 1
	}
	block := []byte{0x82, 0x84, 0x86, 0x01, 1, 'x'}
	want := make(http.Header)
	for i, f := range s.Table {
		if strings.HasPrefix(f.Name, "x") && 62+i < 0x7f { // of two bytes it would be
			block = append(block, 0x80|byte(62+i))
			want.Add(f.Name, f.Value)
		}
	}
	fr := http2.NewFramer(client, client)
	// What the client's decoder has of before must not count: it has other entries than the new encoder.
	fr.ReadMetaHeaders = hpack.NewDecoder(s.Theirs.Get(http2.SettingHeaderTableSize), func(hpack.HeaderField) {})
	fr.ReadMetaHeaders.Write([]byte{0x40, 1, 'o', 3, 'l', 'd', 's'})
	fr.ReadMetaHeaders.Close()
	fr.SetMaxReadFrameSize(1<<24 - 1)
	if s.Last > 0 { // late frames on old streams are none of a server's business
		must(t, fr.WriteRSTStream(s.Last, http2.ErrCodeCancel))
		must(t, fr.WriteWindowUpdate(s.Last, 1))
	}
	must(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: true}))
	window := min(s.SendWindow, int64(s.Theirs.Get(http2.SettingInitialWindowSize)), 1<<17)
	wantAnswer(t, fr, stream, window)
	if h := <-got; fmt.Sprint(h) != fmt.Sprint(want) {
		t.Errorf("the server got %v, want %v", h, want)
	}
	l := c.Limits()
	if l.Window != 1<<20 || l.Settings.Get(http2.SettingMaxConcurrentStreams) != 250 {
		t.Errorf("limits %+v, want those of x/net", l)
	}
}

// wantAnswer wants an answer of so many bytes, behind which the window is used up, and nothing else.
func wantAnswer(t *testing.T, fr *http2.Framer, stream uint32, window int64) {
	t.Helper()
	for headers, n := false, int64(0); !headers || n < window; {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatalf("after headers %v and %d bytes: %v", headers, n, err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			headers = true
			if f.PseudoValue("status") != "200" || !slices.Contains(f.Fields, hpack.HeaderField{Name: "x-answer", Value: "yes"}) {
				t.Errorf("the answer begins with %v", f.Fields)
			}
		case *http2.DataFrame:
			n += int64(len(f.Data()))
		default:
			t.Fatalf("the server says %v", f)
		}
		if f.Header().StreamID != stream {
			t.Errorf("the answer is on stream %d, want %d", f.Header().StreamID, stream)
		}
	}
	must(t, fr.WritePing(false, [8]byte{1}))
	if f, err := fr.ReadFrame(); err != nil || f.Header().Type != http2.FramePing {
		t.Errorf("after what the window allows: %v, %v, want only the PING's answer", f, err)
	}
}

// A server that ends meanwhile tells its client by which stream.
func TestServerEndsWhileItIsRestored(t *testing.T) {
	hs, conf := new(http.Server), new(http2.Server)
	must(t, http2.ConfigureServer(hs, conf))
	var c *restored
	client, server := net.Pipe()
	c = &restored{Conn: server, Restore: h2move.NewRestore(&h2move.State{Last: 9, SendWindow: 1})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conf.ServeConn(c, &http2.ServeConnOpts{BaseConfig: hs, SawClientPreface: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = hs.Shutdown(context.Background()) // nobody listens
			c.ServeHTTP(w, r)
		})})
	}()
	client.SetDeadline(time.Now().Add(30 * time.Second))
	f, err := http2.NewFramer(client, client).ReadFrame()
	if g, ok := f.(*http2.GoAwayFrame); !ok || g.LastStreamID != 9 || g.ErrCode != http2.ErrCodeNo {
		t.Errorf("the client reads %v, %v, want GOAWAY 9", f, err)
	}
	io.Copy(io.Discard, client)
	<-ended
}

// A server that refuses the request gets an error.
func TestServerThatCannotBeRestored(t *testing.T) {
	r := h2move.NewRestore(&h2move.State{Last: 1, SendWindow: 65535})
	w := newWire()
	must(t, w.WriteSettings())
	must(t, w.WriteRSTStream(3, http2.ErrCodeProtocol)) // a block of the table
	if rest, err := r.Write(w.take()); len(rest) > 0 || err != nil {
		t.Errorf("Write = %q, %v", rest, err)
	}
	must(t, w.WriteRSTStream(1, http2.ErrCodeRefusedStream))
	if _, err := r.Write(w.take()); err == nil {
		t.Error("no error")
	}
	r.Close()
	if n := r.Read(make([]byte, 9)); n != 0 {
		t.Errorf("Read = %d after Close", n)
	}
}
