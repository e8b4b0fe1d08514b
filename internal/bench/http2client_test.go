package bench

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
)

// bareHTTP2 is a client of HTTP/2 by hand that knows no more than it needs. One of net/http's, or of golang.org/x/net/http2, would share its
// code with one of the servers that are compared, and that with both of its ends in the processor's cache would look faster by a fifteenth.
type bareHTTP2 struct {
	conn   net.Conn
	r      *bufio.Reader
	stream uint32 // the last one
	read   int    // bytes of data since the last WINDOW_UPDATE
}

// Types and flags of frames (RFC 9113, section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameSettings     = 4
	frameWindowUpdate = 8

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4
)

// requestBlock is the header block of a GET of / by https from "x": three fields of the static table, and :authority as a literal that is not
// indexed (RFC 7541, appendix A and section 6.2.2).
const requestBlock = "\x82\x87\x84\x01\x01x"

// window is the first one of a connection (RFC 9113, section 6.9.2).
const window = 65535

func dialBareHTTP2(address string) (*bareHTTP2, error) {
	config := tlspeer.ClientConfig(new(tlspeer.Log))
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	if proto := conn.ConnectionState().NegotiatedProtocol; proto != "h2" {
		return nil, errors.Join(fmt.Errorf("the server speaks %q, want h2", proto), conn.Close())
	}
	c := &bareHTTP2{conn: conn, r: bufio.NewReader(conn), stream: ^uint32(0)} // 1 is the first
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(frameSettings, 0, 0, "")); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func frame(kind, flags byte, stream uint32, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// ask sends a request, and reads frames up to the end of its answer.
func (c *bareHTTP2) ask() error {
	c.stream += 2
	request := frame(frameHeaders, flagEndHeaders|flagEndStream, c.stream, requestBlock)
	if c.read > window/2 {
		request += frame(frameWindowUpdate, 0, 0, string(binary.BigEndian.AppendUint32(nil, uint32(c.read))))
		c.read = 0
	}
	if _, err := io.WriteString(c.conn, request); err != nil {
		return err
	}
	for {
		ended, err := c.readFrame()
		if ended || err != nil {
			return err
		}
	}
}

// readFrame reads a frame, and reports whether it is the last one of the answer.
func (c *bareHTTP2) readFrame() (ended bool, err error) {
	var header [9]byte
	if _, err := io.ReadFull(c.r, header[:]); err != nil {
		return false, err
	}
	length := int(binary.BigEndian.Uint32(header[:])) >> 8
	kind, flags, stream := header[3], header[4], binary.BigEndian.Uint32(header[5:])
	if _, err := c.r.Discard(length); err != nil {
		return false, err
	}
	switch kind {
	case frameSettings:
		if flags&flagAck == 0 {
			_, err = io.WriteString(c.conn, frame(frameSettings, flagAck, 0, ""))
		}
	case frameData, frameHeaders:
		if kind == frameData {
			c.read += length
		}
		if stream != c.stream {
			return false, fmt.Errorf("a frame for stream %d, want %d", stream, c.stream)
		}
		return flags&flagEndStream != 0, nil
	case frameWindowUpdate:
	default:
		err = fmt.Errorf("a frame of type %d", kind)
	}
	return false, err
}
