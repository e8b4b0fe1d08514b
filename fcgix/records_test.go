package fcgix_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// seen is one record that was followed to its end.
type seen struct {
	kind byte
	id   uint16
}

// followed returns the records in wire, given to a follower in chunks of the
// sizes given, over and over, and whether the last is complete.
func followed(wire, sizes []byte) (all []seen, atBoundary bool) {
	var r fcgix.Records
	for i := 0; len(wire) > 0; i++ {
		n := len(wire)
		if len(sizes) > 0 {
			n = min(n, 1+int(sizes[i%len(sizes)]))
		}
		r.Follow(wire[:n], func(kind byte, id uint16) { all = append(all, seen{kind, id}) })
		wire = wire[n:]
	}
	return all, r.AtBoundary()
}

// parsed is followed, written down from the specification.
func parsed(wire []byte) (all []seen, atBoundary bool) {
	for len(wire) >= 8 {
		n := 8 + int(binary.BigEndian.Uint16(wire[4:])) + int(wire[6])
		if n > len(wire) {
			return all, false
		}
		all = append(all, seen{wire[1], binary.BigEndian.Uint16(wire[2:])})
		wire = wire[n:]
	}
	return all, len(wire) == 0
}

func FuzzRecords(f *testing.F) {
	request := load.FCGIRequest{ID: 300, KeepConn: true, Params: map[string]string{"A": "b"}, Stdin: []byte("body")}.Append(nil)
	f.Add(request, []byte{})
	f.Add(request, []byte{0})
	f.Add(slices.Concat(request, request[:20]), []byte{6, 8, 0})
	f.Add([]byte{1, 3, 0, 1, 0, 0, 0, 0}, []byte{3})
	f.Add([]byte{1, 3, 0, 1, 0xff, 0xff, 0xff, 0}, []byte{})
	f.Fuzz(func(t *testing.T, wire, sizes []byte) {
		want, wantEnd := parsed(wire)
		for _, sizes := range [][]byte{nil, {0}, sizes} {
			got, end := followed(wire, sizes)
			if !slices.Equal(got, want) || end != wantEnd {
				t.Errorf("in chunks of %v+1: %v, at boundary %v, want %v, %v", sizes, got, end, want, wantEnd)
			}
		}
	})
}
