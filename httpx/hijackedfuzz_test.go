package httpx

import (
	"bytes"
	"testing"
)

// FuzzHijacked reads what another generation says of a hijacked connection: what is taken has lengths within their bounds, and is what was packed.
func FuzzHijacked(f *testing.F) {
	f.Add(packHijacked(nil, nil))
	f.Add(packHijacked([]byte("read"), []byte("state")))
	f.Add([]byte{hijackedForm, 0, 0, 0, 9, 'x'})
	f.Add([]byte{hijackedForm + 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, state, err := parseHijacked(b)
		if err != nil {
			return
		}
		if state == nil || len(rest) > maxRest || len(state) > MaxHijackedState {
			t.Fatalf("%d bytes of rest, %d of state, which is nil: %v", len(rest), len(state), state == nil)
		}
		if again := packHijacked(rest, state); !bytes.Equal(again, b) {
			t.Fatalf("%q is packed as %q", b, again)
		}
	})
}
