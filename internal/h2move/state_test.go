package h2move_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
)

// settled returns what follows a connection on which both sides have said hello.
func settled(tb testing.TB, sizes []byte) (in *h2move.In, out *h2move.Out, client, server *wire) {
	tb.Helper()
	in, out = new(h2move.In), new(h2move.Out)
	in.Track(4096)
	client, server = newWire(), newWire()
	must(tb, client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}, http2.Setting{ID: 0x99, Val: 7}))
	must(tb, server.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}))
	must(tb, server.WriteSettingsAck())
	must(tb, server.WriteWindowUpdate(0, 1000))
	must(tb, client.WriteSettingsAck())
	say(in, out, client, server, sizes)
	return in, out, client, server
}

// say has both follow what has been written.
func say(in *h2move.In, out *h2move.Out, client, server *wire, sizes []byte) {
	pieces(client.take(), sizes, in.Follow)
	pieces(server.take(), sizes, out.Follow)
}

func TestStateOfAConnection(t *testing.T) {
	for _, sizes := range [][]byte{nil, {0}, {8, 0, 4}, {200}} {
		in, out, client, server := settled(t, sizes)
		client.get(t, 1, "x-first: 1", "x-second: 2", "x-first: 1")
		must(t, client.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 3, BlockFragment: client.fields("x-third: 3"), PadLength: 7,
			Priority: http2.PriorityParam{StreamDep: 1, Weight: 3},
		}))
		must(t, client.WriteContinuation(3, true, nil))
		must(t, client.WriteDataPadded(3, true, make([]byte, 300), make([]byte, 20)))
		must(t, client.WriteWindowUpdate(0, 70))
		must(t, client.WriteWindowUpdate(3, 1<<20))
		must(t, server.WriteData(3, true, make([]byte, 500)))
		must(t, server.WriteWindowUpdate(3, 5000))
		must(t, server.WriteWindowUpdate(0, 11))
		say(in, out, client, server, sizes)
		if !h2move.IsSettled(in, out) {
			t.Fatalf("sizes %v: not settled", sizes)
		}
		got, err := h2move.NewState(in, out, []byte("more"))
		if err != nil {
			t.Fatal(err)
		}
		want := &h2move.State{
			Last: 3, SendWindow: 65535 + 70 - 500, RecvWindow: 65535 + 1000 + 11 - 300 - 21,
			Ours:   h2move.Settings{{ID: http2.SettingMaxFrameSize, Val: 1 << 20}},
			Theirs: h2move.Settings{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}},
			Table: []hpack.HeaderField{
				{Name: "x-third", Value: "3"}, {Name: "x-second", Value: "2"}, {Name: "x-first", Value: "1"}, {Name: ":authority", Value: "x"},
			},
			Pending: []byte("more"),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("sizes %v: state %+v, want %+v", sizes, got, want)
		}
		parsed, err := h2move.Parse(got.Append(nil))
		if err != nil || !reflect.DeepEqual(parsed, want) {
			t.Errorf("sizes %v: Parse = %+v, %v, want %+v", sizes, parsed, err, want)
		}
	}
}

// A connection that goes on from a state has the same one, and knows what the client says by its table.
func TestStateAfterAState(t *testing.T) {
	in, out, client, server := settled(t, nil)
	for i := range 200 { // its table is full
		client.get(t, uint32(2*i+1), fmt.Sprintf("x-%d: %s", i, strings.Repeat("v", i)))
	}
	say(in, out, client, server, nil)
	first, err := h2move.NewState(in, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		in, out = new(h2move.In), new(h2move.Out)
		first.Resume(in, out)
		again, err := h2move.NewState(in, out, nil)
		if err != nil || !reflect.DeepEqual(again, first) || !h2move.IsSettled(in, out) {
			t.Fatalf("again %+v, %v, want %+v", again, err, first)
		}
	}
	client.get(t, 999, "x-199: "+strings.Repeat("v", 199), "x-new: 1")
	say(in, out, client, server, nil)
	last, err := h2move.NewState(in, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]hpack.HeaderField{{Name: "x-new", Value: "1"}}, first.Table...)[:len(last.Table)]; !slices.Equal(last.Table, want) {
		t.Errorf("table %v, want %v", last.Table, want)
	}
}

func TestReasonsToStay(t *testing.T) {
	tests := []struct {
		name    string
		say     func(client, server *wire) error
		never   bool // it can never move; otherwise, not now
		settled bool
	}{
		{"nothing", func(_, _ *wire) error { return nil }, false, true},
		{"GOAWAY of the client", func(c, _ *wire) error { return c.WriteGoAway(0, http2.ErrCodeNo, nil) }, true, true},
		{"GOAWAY of the server", func(_, s *wire) error { return s.WriteGoAway(0, http2.ErrCodeNo, nil) }, true, true},
		{"a push", func(_, s *wire) error {
			return s.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: s.fields(), EndHeaders: true})
		}, true, true},
		{"a push of the client", func(c, _ *wire) error {
			return c.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: c.fields(), EndHeaders: true})
		}, true, true},
		{"settings to be acknowledged", func(_, s *wire) error { return s.WriteSettings() }, false, false},
		{"acknowledged once too often", func(c, _ *wire) error { return c.WriteSettingsAck() }, false, false},
		{"half a frame of the client", func(c, _ *wire) error { c.Write(make([]byte, 5)); return nil }, false, false},
		{"half a frame of the server", func(_, s *wire) error { s.Write([]byte{0, 0, 9, 0, 0, 0, 0, 0, 1}); return nil }, false, false},
		{"half a block of the client", func(c, _ *wire) error {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields()})
		}, false, false},
		{"half a block of the server", func(_, s *wire) error {
			return s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: s.fields()})
		}, false, false},
		{"a header that nobody can decode", func(c, _ *wire) error {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}, true, true},
		{"a header that is cut short", func(c, _ *wire) error {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x40, 10, 'x'}, EndHeaders: true})
		}, true, true},
		{"an even stream", func(c, _ *wire) error { c.get(t, 2); return nil }, true, true},
		{"more than the window", func(c, _ *wire) error { return c.WriteData(1, true, make([]byte, 70000)) }, true, true},
		{"too many settings", func(c, _ *wire) error { return c.WriteSettings(make([]http2.Setting, 101)...) }, true, true},
	}
	for _, tt := range tests {
		for _, sizes := range [][]byte{nil, {0}} {
			in, out, client, server := settled(t, sizes)
			must(t, tt.say(client, server))
			say(in, out, client, server, sizes)
			_, err := h2move.NewState(in, out, nil)
			if settled := h2move.IsSettled(in, out); settled != tt.settled || (err != nil) != tt.never {
				t.Errorf("%s: settled %v, error %v, want %v, %v", tt.name, settled, err, tt.settled, tt.never)
			}
		}
	}
}

func TestNotSettledBeforeTheSettings(t *testing.T) {
	in, out := new(h2move.In), new(h2move.Out)
	in.Track(4096)
	if h2move.IsSettled(in, out) {
		t.Error("settled before a word")
	}
}

func TestParseRefuses(t *testing.T) {
	good := func() *h2move.State { return &h2move.State{Last: 1, SendWindow: 65535, RecvWindow: 65535} }
	tests := map[string]func(*h2move.State){
		"an even stream":            func(s *h2move.State) { s.Last = 2 },
		"a stream that is too high": func(s *h2move.State) { s.Last = 1<<31 + 1 },
		"a window":                  func(s *h2move.State) { s.SendWindow = math.MaxInt32 + 1 },
		"the other window":          func(s *h2move.State) { s.RecvWindow = math.MaxInt32 + 1 },
		"bytes without a stream":    func(s *h2move.State) { s.Last, s.SendWindow = 0, 65534 },
		"a setting":                 func(s *h2move.State) { s.Theirs = h2move.Settings{{ID: http2.SettingMaxFrameSize, Val: 1}} },
		"a table that is too large": func(s *h2move.State) { s.Table = make([]hpack.HeaderField, 129) },
		"an entry that is too long": func(s *h2move.State) {
			s.Ours = h2move.Settings{{ID: http2.SettingHeaderTableSize, Val: 1 << 20}}
			s.Table = []hpack.HeaderField{{Name: "x", Value: strings.Repeat("v", 1<<14)}}
		},
		"an entry that is too long for the server": func(s *h2move.State) {
			s.Ours = h2move.Settings{{ID: http2.SettingMaxHeaderListSize, Val: 100}}
			s.Table = []hpack.HeaderField{{Name: "x", Value: strings.Repeat("v", 100)}}
		},
	}
	for name, spoil := range tests {
		s := good()
		if _, err := h2move.Parse(s.Append(nil)); err != nil {
			t.Fatal(err)
		}
		spoil(s)
		if got, err := h2move.Parse(s.Append(nil)); err == nil {
			t.Errorf("%s: %+v, want an error", name, got)
		}
	}
	whole := good()
	whole.Table = []hpack.HeaderField{{Name: "x", Value: "y"}}
	b := whole.Append(nil)
	for n := range b {
		if got, err := h2move.Parse(b[:n]); err == nil {
			t.Errorf("%d of %d bytes: %+v, want an error", n, len(b), got)
		}
	}
	b[0]++
	if _, err := h2move.Parse(b); err == nil {
		t.Error("another version is taken")
	}
}

func TestAdmit(t *testing.T) {
	l := h2move.Limits{Settings: h2move.Settings{{ID: http2.SettingMaxConcurrentStreams, Val: 100}}, Window: 1 << 20}
	s := &h2move.State{RecvWindow: 1 << 20, Ours: h2move.Settings{
		{ID: http2.SettingInitialWindowSize, Val: 65535}, {ID: http2.SettingMaxConcurrentStreams, Val: 100},
	}}
	if err := l.Admit(s); err != nil {
		t.Errorf("the same in other words: %v", err)
	}
	s.RecvWindow++
	if l.Admit(s) == nil {
		t.Error("a larger window is admitted")
	}
	s.RecvWindow = 0
	s.Ours[1].Val++
	if l.Admit(s) == nil {
		t.Error("another setting is admitted")
	}
}

func FuzzState(f *testing.F) {
	f.Add((&h2move.State{
		Last: 5, SendWindow: 1000, RecvWindow: 1 << 20, Ours: h2move.Settings{{ID: http2.SettingMaxFrameSize, Val: 1 << 20}},
		Theirs: h2move.Settings{{ID: http2.SettingEnablePush, Val: 0}}, Table: []hpack.HeaderField{{Name: "x", Value: "y"}, {}}, Pending: []byte("more"),
	}).Append(nil))
	f.Add([]byte{1, 0, 0xff, 0xff, 0x03, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := h2move.Parse(b)
		if err != nil {
			return
		}
		again, err := h2move.Parse(s.Append(nil))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("again %+v, %v, want %+v", again, err, s)
		}
		in, out := new(h2move.In), new(h2move.Out)
		s.Resume(in, out)
		made, err := h2move.NewState(in, out, s.Pending)
		if err != nil || !reflect.DeepEqual(made, s) {
			t.Errorf("made of it %+v, %v, want %+v", made, err, s)
		}
	})
}

// What a client says is followed without harm, and in any pieces to the same effect.
func FuzzFollow(f *testing.F) {
	w := newWire()
	must(f, w.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 100}))
	w.get(f, 1, "x-field: value")
	must(f, w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: w.fields("x-other: v"), PadLength: 3, EndHeaders: true}))
	must(f, w.WriteWindowUpdate(0, 10))
	f.Add(w.take(), []byte{0})
	f.Add([]byte{0, 0, 1, 1, 0x2c, 0, 0, 0, 1, 0xff, 0, 0, 0, 1, 4, 0, 0, 0, 1}, []byte{1, 2})
	f.Fuzz(func(t *testing.T, b, sizes []byte) {
		state := func(sizes []byte) (string, bool) {
			in, out, _, _ := settled(t, nil)
			pieces(b, sizes, in.Follow)
			pieces(b, sizes, out.Follow)
			s, err := h2move.NewState(in, out, nil)
			if err != nil {
				return "", h2move.IsSettled(in, out)
			}
			return string(s.Append(nil)), h2move.IsSettled(in, out)
		}
		whole, settled := state(nil)
		if got, gotSettled := state(sizes); got != whole || gotSettled != settled {
			t.Errorf("in pieces %x, %v, at once %x, %v", got, gotSettled, whole, settled)
		}
	})
}
