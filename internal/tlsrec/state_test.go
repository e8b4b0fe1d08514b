package tlsrec_test

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// secretOf are the secrets of a state made by hand, of each direction.
func secretOf(suite uint16, direction byte) []byte {
	n := 32
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		n = 48
	}
	return bytes.Repeat([]byte{0xa0 + direction}, n)
}

func newState(tb testing.TB, info tlsrec.State) *tlsrec.State {
	tb.Helper()
	in, err := tlsrec.NewHalf(info.Suite, secretOf(info.Suite, 1))
	require.NoError(tb, err)
	out, err := tlsrec.NewHalf(info.Suite, secretOf(info.Suite, 2))
	require.NoError(tb, err)
	in.Seq, out.Seq = 3, 5
	s, err := tlsrec.NewState(info, in, out)
	require.NoError(tb, err)
	return s
}

func example(suite uint16) tlsrec.State {
	return tlsrec.State{
		Suite: suite, ServerName: "example.com", NegotiatedProtocol: "http/1.1", DidResume: true, ECHAccepted: true,
		CurveID: tls.X25519MLKEM768, HandshakeAt: time.Unix(1_800_000_000, 0), Leaf: [32]byte{1, 2, 3},
	}
}

func TestStateGoesThere(t *testing.T) {
	for _, suite := range tlspeer.Suites {
		for _, change := range []func(s *tlsrec.State){
			func(*tlsrec.State) {},
			func(s *tlsrec.State) { s.ServerName, s.NegotiatedProtocol = "", "" },
			func(s *tlsrec.State) { s.ServerName = strings.Repeat("a", 255); s.NegotiatedProtocol = s.ServerName },
			func(s *tlsrec.State) { s.DidResume = false },
			func(s *tlsrec.State) { s.ECHAccepted, s.CurveID, s.Leaf = false, 0, [32]byte{} },
		} {
			info := example(suite)
			change(&info)
			s := newState(t, info)
			b, err := s.Append(make([]byte, 0, tlsrec.MaxStateLen))
			require.NoError(t, err)
			if len(b) > tlsrec.MaxStateLen {
				t.Errorf("%d bytes, more than MaxStateLen", len(b))
			}
			there, err := tlsrec.ParseState(b)
			require.NoError(t, err)
			again, err := there.Append(nil)
			require.NoError(t, err)
			if !bytes.Equal(b, again) {
				t.Errorf("%x becomes %x", b, again)
			}
			if there.ServerName != info.ServerName || there.NegotiatedProtocol != info.NegotiatedProtocol || there.DidResume != info.DidResume ||
				there.ECHAccepted != info.ECHAccepted || there.CurveID != info.CurveID || !there.HandshakeAt.Equal(info.HandshakeAt) ||
				there.Leaf != info.Leaf || there.Suite != info.Suite {
				t.Error("something has changed on its way")
			}
		}
	}
}

// TestStateIsBounded has the names, the time and the rest out of their bounds.
func TestStateIsBounded(t *testing.T) {
	in, _ := tlsrec.NewHalf(tls.TLS_AES_128_GCM_SHA256, secretOf(tls.TLS_AES_128_GCM_SHA256, 1))
	out, _ := tlsrec.NewHalf(tls.TLS_AES_128_GCM_SHA256, secretOf(tls.TLS_AES_128_GCM_SHA256, 2))
	other, _ := tlsrec.NewHalf(tls.TLS_CHACHA20_POLY1305_SHA256, secretOf(tls.TLS_CHACHA20_POLY1305_SHA256, 2))
	zero, _ := tlsrec.NewHalf(tls.TLS_AES_128_GCM_SHA256, make([]byte, 32))
	for name, try := range map[string]func(s *tlsrec.State) (*tlsrec.State, error){
		"long name": func(s *tlsrec.State) (*tlsrec.State, error) {
			s.ServerName = strings.Repeat("a", 256)
			return tlsrec.NewState(*s, in, out)
		},
		"long protocol": func(s *tlsrec.State) (*tlsrec.State, error) {
			s.NegotiatedProtocol = strings.Repeat("a", 256)
			return tlsrec.NewState(*s, in, out)
		},
		"no time": func(s *tlsrec.State) (*tlsrec.State, error) {
			s.HandshakeAt = time.Time{}
			return tlsrec.NewState(*s, in, out)
		},
		"another suite": func(s *tlsrec.State) (*tlsrec.State, error) {
			s.Suite = tls.TLS_AES_256_GCM_SHA384
			return tlsrec.NewState(*s, in, out)
		},
		"two suites": func(s *tlsrec.State) (*tlsrec.State, error) { return tlsrec.NewState(*s, in, other) },
		"one secret": func(s *tlsrec.State) (*tlsrec.State, error) { return tlsrec.NewState(*s, in, in) },
		"no secret":  func(s *tlsrec.State) (*tlsrec.State, error) { return tlsrec.NewState(*s, in, zero) },
		"too many records": func(s *tlsrec.State) (*tlsrec.State, error) {
			h := out.Clone()
			h.Seq = tlsrec.MaxRecords
			return tlsrec.NewState(*s, in, h)
		},
	} {
		info := example(tls.TLS_AES_128_GCM_SHA256)
		if s, err := try(&info); err == nil || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if _, err := tlsrec.NewHalf(tls.TLS_AES_128_GCM_SHA256, make([]byte, 31)); err == nil {
		t.Error("a secret of 31 bytes")
	}
	if _, err := tlsrec.NewHalf(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, make([]byte, 32)); err == nil {
		t.Error("a suite of TLS 1.2")
	}
}

// TestParseStateRefuses changes each byte, cuts the form at each place, and adds to it.
func TestParseStateRefuses(t *testing.T) {
	s := newState(t, example(tls.TLS_AES_128_GCM_SHA256))
	b, err := s.Append(nil)
	require.NoError(t, err)
	for i := range b {
		if _, err := tlsrec.ParseState(b[:i]); err == nil {
			t.Errorf("%d bytes of %d are a state", i, len(b))
		}
	}
	if _, err := tlsrec.ParseState(append(slices.Clone(b), 0)); err == nil {
		t.Error("a byte too many")
	}
	for _, i := range []int{0, 1, 2, 3} { // version, flags, suite
		for change := 1; change < 256; change++ {
			c := slices.Clone(b)
			c[i] ^= byte(change)
			if there, err := tlsrec.ParseState(c); err == nil {
				// There are four flags, and two suites with secrets of 32 bytes.
				if again, _ := there.Append(nil); !bytes.Equal(again, c) || i != 1 && !slices.Contains(tlspeer.Suites, there.Suite) {
					t.Errorf("byte %d as %#x is taken", i, c[i])
				}
			}
		}
	}
	for _, i := range []int{6, 46, 46 + 8 + 32} { // the time, and both numbers, as large as can be
		c := slices.Clone(b)
		c[i] = 0xff
		if _, err := tlsrec.ParseState(c); err == nil {
			t.Errorf("byte %d is taken", i)
		}
	}
}

// TestStateIsUsedOnce has a state go to one connection, and to no other.
func TestStateIsUsedOnce(t *testing.T) {
	s := newState(t, example(tls.TLS_AES_128_GCM_SHA256))
	_, far := net.Pipe()
	first, err := tlsrec.Server(far, s)
	require.NoError(t, err)
	if _, err := tlsrec.Server(far, s); err == nil {
		t.Error("used twice")
	}
	if _, err := s.Append(nil); err == nil {
		t.Error("appended after use")
	}
	s.Clear()
	if _, err := first.State(); err != nil {
		t.Errorf("Clear has reached the connection: %v", err)
	}
	taken, err := first.State()
	require.NoError(t, err)
	taken.Clear()
	taken.Clear()
	(*tlsrec.State)(nil).Clear()
	if _, err := tlsrec.Server(far, taken); err == nil {
		t.Error("used after Clear")
	}
	if _, err := tlsrec.Server(far, nil); err == nil {
		t.Error("no state at all")
	}
	if _, err := first.State(); err != nil {
		t.Errorf("Clear of a copy has reached the connection: %v", err)
	}
}

// TestSecretsAreNotPrinted looks for the secrets in whatever prints.
func TestSecretsAreNotPrinted(t *testing.T) {
	s := newState(t, example(tls.TLS_AES_128_GCM_SHA256))
	half, err := tlsrec.NewHalf(s.Suite, secretOf(s.Suite, 1))
	require.NoError(t, err)
	_, far := net.Pipe()
	conn, err := tlsrec.Server(far, newState(t, example(tls.TLS_AES_128_GCM_SHA256)))
	require.NoError(t, err)
	type around struct {
		Exported *tlsrec.State
		hidden   *tlsrec.State
		value    tlsrec.State
		half     *tlsrec.Half
		conn     *tlsrec.Conn
	}
	in := around{s, s, *s, half, conn}
	var all strings.Builder
	for _, value := range []any{s, *s, half, *half, in, &in, []any{s}, map[string]*tlsrec.State{"a": s}, conn, &s} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d", "%T", "%X", "% x"} {
			fmt.Fprintf(&all, verb+"\n", value)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&all, nil), slog.NewJSONHandler(&all, nil)} {
			slog.New(h).Info("a", "b", value)
		}
		if b, err := json.Marshal(value); err == nil {
			all.Write(b)
		}
	}
	text := strings.ToLower(all.String())
	for _, sign := range []string{"a1a1a1", "161 161", "a1, 0xa1", "a1 a1", "\xa1\xa1", "¡¡", hex.EncodeToString([]byte("a1a1"))} {
		if i := strings.Index(text, sign); i >= 0 {
			t.Errorf("printed: %.200q", text[max(0, i-100):])
		}
	}
	if s.String() != "tlsrec.State" || fmt.Sprintf("%#v", *s) != "tlsrec.State" || s.GoString() != s.String() || half.String() != half.GoString() {
		t.Error("a state says something")
	}
}

func TestKnownAnswers(t *testing.T) { require.NoError(t, tlsrec.KnownAnswers()) }

func TestReasonsAreAll(t *testing.T) {
	all := tlsrec.Reasons()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("not sorted, or twice: %q", all)
	}
	for _, r := range []tlsrec.Reason{tlsrec.Busy, tlsrec.NoProof, tlsrec.Untracked, tlsrec.TooLong} {
		if !slices.Contains(all, r) || errors.Is(r, io.EOF) {
			t.Errorf("%q is missing", r)
		}
	}
}
