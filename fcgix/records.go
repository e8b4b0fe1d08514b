package fcgix

import "encoding/binary"

// The record types of which a request begins and ends (FastCGI 1.0, section 8).
const (
	typeBeginRequest = 1
	typeAbortRequest = 2
	typeEndRequest   = 3
	typeStdin        = 5
)

// flagKeepConn in the flags of BEGIN_REQUEST says that the web server will use
// the connection again (section 5.1).
const flagKeepConn = 1

// headerLen is the length of a record header: version, type, request ID, content
// length, padding length, reserved.
const headerLen = 8

// records follows a stream of FastCGI records that arrives in pieces of any
// size. The zero value is at the start of a stream.
type records struct {
	header [headerLen]byte
	have   int     // bytes of the header that are there
	left   int     // bytes of content and padding still to come
	body   int     // bytes of content and padding that are there
	begin  [3]byte // the first of them: of BEGIN_REQUEST, role and flags
}

// role is that of the BEGIN_REQUEST record that has just been seen.
func (r *records) role() uint16 { return binary.BigEndian.Uint16(r.begin[:]) }

// flags are its flags.
func (r *records) flags() byte { return r.begin[2] }

// content is how much a record that has just been seen holds, without its padding.
func (r *records) content() int { return int(binary.BigEndian.Uint16(r.header[4:])) }

// atBoundary reports whether no record is begun.
func (r *records) atBoundary() bool { return r.have == 0 }

// follow takes the next bytes of the stream and calls saw for every record that
// is complete.
func (r *records) follow(b []byte, saw func(kind byte, id uint16)) {
	for len(b) > 0 {
		b = b[r.step(b):]
		if r.have == headerLen && r.left == 0 {
			r.have = 0
			saw(r.header[1], binary.BigEndian.Uint16(r.header[2:]))
		}
	}
}

// step takes a part of b that is all header or all content, and returns its
// length.
func (r *records) step(b []byte) int {
	if r.have < headerLen {
		n := copy(r.header[r.have:], b)
		r.have += n
		if r.have == headerLen {
			r.left = int(binary.BigEndian.Uint16(r.header[4:])) + int(r.header[6])
			r.body = 0
			r.begin = [3]byte{}
		}
		return n
	}
	n := min(r.left, len(b))
	if r.body < len(r.begin) {
		copy(r.begin[r.body:], b[:n])
	}
	r.body += n
	r.left -= n
	return n
}
