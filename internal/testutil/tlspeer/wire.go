package tlspeer

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// Wire is a connection that records what is written to it, and counts what is read. It may be below several ones that follow each other, or that should.
type Wire struct {
	net.Conn

	mu      sync.Mutex
	written bytes.Buffer
	read    int
}

// Read reads and counts.
func (w *Wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read += n
	return n, err
}

// Bytes returns how many were read.
func (w *Wire) Bytes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read
}

// Write records and writes.
func (w *Wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written.Write(p)
	return w.Conn.Write(p)
}

// Written returns all that was written.
func (w *Wire) Written() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.written.Bytes())
}

// Number says which record of which key one on the wire is.
type Number struct{ Key, Seq uint64 }

// Numbers opens the records in wire that are of data, with the secret that they begin with, and those that follow from it. It looks for the
// number of each, so that one that comes twice is found twice. Those of the handshake, before the first that opens, are left
// out; the test ends at one that opens under no number up to limit, and at one that opens under a number that there was already: two such
// records give the key away.
func Numbers(tb testing.TB, wire []byte, suite uint16, secret []byte, limit uint64) []Number {
	tb.Helper()
	keys := make([]*tlsrec.Half, 1, 100)
	keys[0], _ = tlsrec.NewHalf(suite, secret)
	if keys[0] == nil {
		tb.Fatal("this is no secret")
	}
	seen := make(map[Number]bool)
	var all []Number
	from := bytes.NewReader(wire)
	for from.Len() > 0 {
		record, err := ReadRecord(from)
		if err != nil {
			tb.Fatalf("%v in a record", err)
		}
		if record[0] != tlsrec.TypeApplicationData {
			continue
		}
		number, kind, content, ok := find(keys, record, limit)
		switch {
		case !ok && len(all) == 0:
			continue
		case !ok:
			tb.Fatalf("record %d on the wire, of %d bytes, opens under no number", len(all), len(record))
		case seen[number]:
			tb.Fatalf("two records have the number %d under key %d", number.Seq, number.Key)
		}
		seen[number] = true
		all = append(all, number)
		if tlsrec.IsKeyUpdate(kind, content) {
			next := keys[len(keys)-1].Clone()
			next.Update()
			keys = append(keys, next)
		}
	}
	return all
}

// find looks for the number of a record, the expected one first.
func find(keys []*tlsrec.Half, record []byte, limit uint64) (n Number, kind byte, content []byte, ok bool) {
	last := len(keys) - 1
	if kind, content, err := keys[last].OpenAt(nil, keys[last].Seq, record); err == nil {
		keys[last].Seq++
		return Number{uint64(last), keys[last].Seq - 1}, kind, content, true
	}
	for key := range keys {
		for seq := range limit {
			if kind, content, err := keys[key].OpenAt(nil, seq, record); err == nil {
				return Number{uint64(key), seq}, kind, content, true
			}
		}
	}
	return Number{}, 0, nil, false
}
