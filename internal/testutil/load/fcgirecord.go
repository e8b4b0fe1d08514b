package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The parts of FastCGI 1.0 that a responder's client needs (sections 3.3, 3.4
// and 8 of its specification).
const (
	fcgiVersion = 1

	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
	fcgiStderr = 7

	fcgiResponder = 1
	fcgiKeepConn  = 1

	fcgiHeaderLen = 8
	fcgiBeginLen  = 8
	fcgiEndLen    = 8

	fcgiMaxContent = 65535
)

// fcgiRecord is one record. Its content is valid until the next is read.
type fcgiRecord struct {
	kind    uint8
	id      uint16
	content []byte
}

// appendRecord appends one record, padded to a multiple of 8 bytes as the
// specification recommends. The content may have at most 65535 bytes.
func appendRecord(b []byte, r fcgiRecord) []byte {
	padding := -len(r.content) & 7
	b = append(b, fcgiVersion, r.kind)
	b = binary.BigEndian.AppendUint16(b, r.id)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.content)))
	b = append(b, uint8(padding), 0)
	b = append(b, r.content...)
	return append(b, make([]byte, padding)...)
}

// appendStream appends content as one stream: as many records as it needs, and
// the empty one that ends it.
func appendStream(b []byte, kind uint8, id uint16, content []byte) []byte {
	for len(content) > 0 {
		n := min(len(content), fcgiMaxContent)
		b = appendRecord(b, fcgiRecord{kind, id, content[:n]})
		content = content[n:]
	}
	return appendRecord(b, fcgiRecord{kind: kind, id: id})
}

// fcgiReader reads records. Its buffer is reused.
type fcgiReader struct {
	r   io.Reader
	buf [fcgiHeaderLen + fcgiMaxContent + 255]byte
}

// next reads one record. Its error is io.EOF only before a record's first
// byte.
func (d *fcgiReader) next() (fcgiRecord, error) {
	head := d.buf[:fcgiHeaderLen]
	if _, err := io.ReadFull(d.r, head); err != nil {
		return fcgiRecord{}, err
	}
	if head[0] != fcgiVersion {
		return fcgiRecord{}, fmt.Errorf("FastCGI record of version %d", head[0])
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	body := d.buf[fcgiHeaderLen:][:n+int(head[6])]
	if _, err := io.ReadFull(d.r, body); err != nil {
		return fcgiRecord{}, noEOF(err)
	}
	return fcgiRecord{kind: head[1], id: binary.BigEndian.Uint16(head[2:]), content: body[:n]}, nil
}

// noEOF turns an end of file where more was due into what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendPair appends one name-value pair.
func appendPair(b []byte, name, value string) []byte {
	b = appendPairLen(b, len(name))
	b = appendPairLen(b, len(value))
	b = append(b, name...)
	return append(b, value...)
}

func appendPairLen(b []byte, n int) []byte {
	if n < 1<<7 {
		return append(b, uint8(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31)
}
