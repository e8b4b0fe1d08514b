package tlspeer

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// Raw is a client after its handshake that sends whatever records it is told to.
type Raw struct {
	net.Conn

	In, Out *tlsrec.Half // Out is what it sends
}

// NewRaw takes over the client's side from crypto/tls, which must have read nothing since the handshake.
func NewRaw(tb testing.TB, conn net.Conn, client *tls.Conn, log *Log) *Raw {
	tb.Helper()
	suite := client.ConnectionState().CipherSuite
	return &Raw{Conn: conn, In: log.Half(tb, suite, ServerSecret), Out: log.Half(tb, suite, ClientSecret)}
}

// Record is what was in a record.
type Record struct {
	Kind    byte
	Content string
}

// Send sends content as a record of a kind. Errors are not told: the server may have closed.
func (r *Raw) Send(kind byte, content string) { _, _ = r.Write(r.Seal(kind, content, 0)) }

// Seal makes a record, padded by so many zeros. It uses up a number.
func (r *Raw) Seal(kind byte, content string, padding int) []byte {
	inner := []byte(content)
	if padding > 0 { // the type goes before the zeros, the last of which stands where Seal puts it
		inner = append(append(inner, kind), make([]byte, padding-1)...)
		kind = 0
	}
	record, err := r.Out.Seal(nil, kind, inner)
	if err != nil {
		panic(err)
	}
	return record
}

// KeyUpdate is the message.
func KeyUpdate(request bool) string {
	if request {
		return "\x18\x00\x00\x01\x01"
	}
	return "\x18\x00\x00\x01\x00"
}

// UpdateKeys sends a KeyUpdate and goes on to the next key.
func (r *Raw) UpdateKeys(request bool) {
	r.Send(tlsrec.TypeHandshake, KeyUpdate(request))
	r.Out.Update()
}

// Receive reads a record and follows KeyUpdates. The error is the connection's, or that of a record which does not open.
func (r *Raw) Receive() (Record, error) {
	record, err := ReadRecord(r.Conn)
	if err != nil {
		return Record{}, err
	}
	kind, content, err := r.In.OpenAt(nil, r.In.Seq, record)
	if err != nil {
		return Record{}, err
	}
	r.In.Seq++
	if tlsrec.IsKeyUpdate(kind, content) {
		r.In.Update()
	}
	return Record{kind, string(content)}, nil
}

// ReceiveAll reads to the end, and returns what went wrong, other than that.
func (r *Raw) ReceiveAll() (all []Record, err error) {
	for {
		record, err := r.Receive()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, record)
	}
}

// ReadRecord reads a record with its header.
func ReadRecord(from io.Reader) ([]byte, error) {
	record := make([]byte, tlsrec.HeaderLen)
	if _, err := io.ReadFull(from, record); err != nil {
		return nil, err
	}
	record = append(record, make([]byte, binary.BigEndian.Uint16(record[3:]))...)
	_, err := io.ReadFull(from, record[tlsrec.HeaderLen:])
	return record, err
}

// slow reads no further than to the end of a record at once.
type slow struct {
	net.Conn
	rest []byte // of a record
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		record, err := ReadRecord(s.Conn)
		if err != nil {
			return 0, err
		}
		s.rest = record
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
