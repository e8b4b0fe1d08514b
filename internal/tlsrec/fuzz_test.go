package tlsrec_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// FuzzState parses what another process has sent. What is taken for a state is one, and has one form only.
func FuzzState(f *testing.F) {
	for _, suite := range tlspeer.Suites {
		b, err := newState(f, example(suite)).Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		s, err := tlsrec.ParseState(b)
		if !bytes.Equal(b, before) {
			t.Fatal("ParseState has changed what it was given")
		}
		if err != nil {
			return
		}
		if len(s.ServerName) > 255 || len(s.NegotiatedProtocol) > 255 || s.HandshakeAt.Unix() <= 0 {
			t.Error("out of bounds")
		}
		again, err := s.Append(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x, %v", b, again, err)
		}
		clear(b) // nothing of it is kept
		if later, err := s.Append(nil); err != nil || !bytes.Equal(later, again) {
			t.Fatal("the state has kept what it was parsed from")
		}
		if _, err := tlsrec.Server(nil, s); err != nil {
			t.Errorf("parsed, and refused: %v", err)
		}
	})
}

// fed is a connection that gives what it is fed, in pieces of a size, and keeps what is written.
type fed struct {
	net.Conn
	from    io.Reader
	piece   int
	written bytes.Buffer
}

func (f *fed) Read(p []byte) (int, error)  { return f.from.Read(p[:min(len(p), f.piece)]) }
func (f *fed) Write(p []byte) (int, error) { return f.written.Write(p) }

// FuzzRecords has a server read records of any type and content, sealed or not, in pieces of any size. The first byte of each says what is done with it; what
// comes out is what went in as data, in its order, up to the first thing that is wrong, and what goes out is only what can be opened with the server's keys in
// their order.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x17\x05hello\x16\x05\x18\x00\x00\x01\x01\x17\x02ab\x15\x02\x01\x00"), 3)
	f.Add([]byte("\x16\x02\x18\x00\x16\x03\x00\x01\x00\x17\x01a"), 1)
	f.Add([]byte("\x94\x01\x01\x17\x01a\x97\x01a"), 1000)
	f.Add(bytes.Repeat([]byte("\x17\x00"), 20), 7)
	f.Fuzz(func(t *testing.T, script []byte, piece int) {
		suite := tlspeer.Suites[len(script)%3]
		client, err := tlsrec.NewHalf(suite, secretOf(suite, 1))
		if err != nil {
			t.Fatal(err)
		}
		var wire, want []byte
		sound := true // so far
		for len(script) >= 2 {
			kind, n := script[0], min(int(script[1]), len(script)-2)
			content := script[2 : 2+n]
			script = script[2+n:]
			if kind&0x80 != 0 { // not sealed
				wire = append(append(wire, kind&0x7f, 3, 3, 0, byte(n)), content...)
				sound = sound && kind&0x7f == tlsrec.TypeChangeCipherSpec
				continue
			}
			if wire, err = client.Seal(wire, kind, content); err != nil {
				t.Fatal(err)
			}
			if kind == 0 { // padding, and the type before it
				if content = bytes.TrimRight(content, "\x00"); len(content) > 0 {
					kind, content = content[len(content)-1], content[:len(content)-1]
				}
			}
			switch {
			case kind == data && sound:
				want = append(want, content...)
			case tlsrec.IsKeyUpdate(kind, content):
				client.Update()
			case kind != handshake && kind != data && kind != alert && kind != 20:
				sound = false
			}
		}
		wire = append(wire, script...)
		in, _ := tlsrec.NewHalf(suite, secretOf(suite, 1))
		out, _ := tlsrec.NewHalf(suite, secretOf(suite, 2))
		s, err := tlsrec.NewState(example(suite), in, out)
		if suite != example(suite).Suite || err != nil {
			t.Fatal(err)
		}
		conn := &fed{from: bytes.NewReader(wire), piece: 1 + (piece&0x7fffffff)%20_000}
		server, err := tlsrec.Server(conn, s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(server)
		if !bytes.HasPrefix(want, got) {
			t.Errorf("%q came out of %q", got, want)
		}
		if _, again := server.Read(make([]byte, 1)); again == nil || err != nil && again.Error() != err.Error() && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Read goes on: %v, then %v", err, again)
		}
		if _, err := server.State(); err == nil {
			t.Error("a connection at its end has a state")
		}
		checkAnswers(t, &conn.written, out, len(wire))
	})
}

// checkAnswers opens what a server has written: KeyUpdates, and at most one alert, the last.
func checkAnswers(t *testing.T, written *bytes.Buffer, out *tlsrec.Half, most int) {
	t.Helper()
	if written.Len() > most+100 {
		t.Errorf("%d bytes are answered by %d", most, written.Len())
	}
	for written.Len() > 0 {
		record, err := tlspeer.ReadRecord(written)
		if err != nil {
			t.Fatal(err)
		}
		kind, content, err := out.OpenAt(nil, out.Seq, record)
		if err != nil {
			t.Fatal("an answer does not open")
		}
		out.Seq++
		switch {
		case tlsrec.IsKeyUpdate(kind, content):
			out.Update()
		case kind != alert || written.Len() > 0:
			t.Errorf("answered with type %d, and %d bytes after it", kind, written.Len())
		}
	}
}
