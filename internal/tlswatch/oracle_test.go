package tlswatch_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"reflect"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// truth is what crypto/tls has in one direction.
type truth struct {
	secret []byte
	seq    uint64
}

// look reads the fields of a tls.Conn that nobody is to know: name is "in" or "out". Nothing but this test depends on them.
func look(tb testing.TB, tc *tls.Conn, name string) truth {
	tb.Helper()
	half := reflect.ValueOf(tc).Elem().FieldByName(name)
	if !half.IsValid() || !half.FieldByName("trafficSecret").IsValid() || !half.FieldByName("seq").IsValid() {
		tb.Fatal("tls.Conn has other fields than this test knows: look whether package tlswatch still knows what it does")
	}
	seq := half.FieldByName("seq")
	var number [8]byte
	for i := range number {
		number[i] = byte(seq.Index(i).Uint())
	}
	return truth{bytes.Clone(half.FieldByName("trafficSecret").Bytes()), binary.BigEndian.Uint64(number[:])}
}

// agree compares what is known of a connection with what crypto/tls has: numbers, and secrets by what they seal.
func agree(tb testing.TB, c *tlswatch.Conn, tc *tls.Conn) {
	tb.Helper()
	in, out := c.Halves()
	if in == nil {
		tb.Fatalf("nothing is known of the connection: %v", c.Why())
	}
	for name, half := range map[string]*tlsrec.Half{"in": in, "out": out} {
		want := look(tb, tc, name)
		if half.Seq != want.seq {
			tb.Errorf("%s: number %d, crypto/tls has %d", name, half.Seq, want.seq)
		}
		same, err := tlsrec.NewHalf(tc.ConnectionState().CipherSuite, want.secret)
		if err != nil {
			tb.Fatal(err)
		}
		half.Seq = 0
		a, _ := half.Seal(nil, tlsrec.TypeApplicationData, nil)
		b, _ := same.Seal(nil, tlsrec.TypeApplicationData, nil)
		if !bytes.Equal(a, b) {
			tb.Errorf("%s: another secret than crypto/tls has", name)
		}
	}
}
