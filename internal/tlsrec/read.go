package tlsrec

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// maxUseless is crypto/tls's maxUselessRecords (common.go:71).
const maxUseless = 16

// The lengths of messages that crypto/tls reads (common.go:69, 70), and the type of the one with a limit of its own.
const (
	maxMessage            = 65536
	maxCertificateMessage = 262144
	messageCertificate    = 11
)

// Read reads data. An error at the deadline is for once; every other ends reading.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	in := &c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.plain) == 0 {
		if in.err != nil {
			return 0, in.err
		}
		if in.frozen {
			return 0, os.ErrDeadlineExceeded
		}
		if err := c.readRecord(); err != nil {
			return 0, err
		}
	}
	n := copy(b, in.plain)
	in.plain = in.plain[n:]
	if len(in.plain) == 0 {
		in.plain = nil
		in.buffer.rest()
	}
	return n, nil
}

// readRecord reads one record and acts on it, as tls.Conn.readRecordOrCCS. in.plain is empty before, and has data afterwards if
// there was any.
func (c *Conn) readRecord() error {
	in := &c.in
	record, err := c.nextRecord()
	if err != nil {
		return err
	}
	if record[0] == TypeChangeCipherSpec { // without protection, and without a number (RFC 8446, D.4)
		return c.ignore(record[HeaderLen:])
	}
	kind, content, err := in.half.OpenAt(record[HeaderLen:], in.half.Seq, record)
	if err != nil {
		return c.refuse(err)
	}
	in.half.Seq++
	if len(content) > maxPlaintext {
		return c.refuse(alertRecordOverflow)
	}
	if in.began > 0 && kind != TypeHandshake { // RFC 8446, 5.1
		return c.refuse(alertUnexpectedMessage)
	}
	switch kind {
	case TypeApplicationData:
		return c.takeData(content)
	case TypeHandshake:
		return c.takeMessages(content)
	case TypeAlert:
		return c.takeAlert(content)
	case TypeChangeCipherSpec: // RFC 8446, 5, wants it refused; crypto/tls takes it for one without protection
		return c.ignore(content)
	}
	return c.refuse(alertUnexpectedMessage)
}

// nextRecord returns the next record with its header, still sealed.
func (c *Conn) nextRecord() ([]byte, error) {
	in := &c.in
	in.buffer.rest()
	if err := in.buffer.fill(c.conn, HeaderLen); err != nil {
		return nil, c.failed(err)
	}
	header := [HeaderLen]byte(in.buffer.peek(HeaderLen))
	if version := uint16(header[1])<<8 | uint16(header[2]); version != tls.VersionTLS12 { // RFC 8446, 5.1
		return nil, c.refuseHeader(alertProtocolVersion, header, fmt.Sprintf("received record with version %x when expecting version %x", version, tls.VersionTLS12))
	}
	n := int(header[3])<<8 | int(header[4])
	if n > MaxCiphertext {
		return nil, c.refuseHeader(alertRecordOverflow, header, fmt.Sprintf("oversized record received with length %d", n))
	}
	if err := in.buffer.fill(c.conn, HeaderLen+n); err != nil {
		return nil, c.failed(err)
	}
	return in.buffer.next(HeaderLen + n), nil
}

// failed is called with an error of the connection below, and returns it. It is the last one unless it is temporary.
func (c *Conn) failed(err error) error {
	if e, ok := err.(net.Error); !ok || !e.Temporary() { //nolint:staticcheck // as crypto/tls: timeouts are meant
		c.in.err = permanent(err)
	}
	return err
}

// refuse ends reading with an alert. err is a [tls.AlertError].
func (c *Conn) refuse(err error) error {
	alert, ok := err.(tls.AlertError)
	if !ok {
		alert = alertInternalError
	}
	c.in.err = permanent(localError(alert))
	c.out.sendAlert(alert)
	return c.in.err
}

// refuseWith is refuse with an error of one's own.
func (c *Conn) refuseWith(alert tls.AlertError, err error) error {
	c.out.sendAlert(alert)
	c.in.err = err
	return err
}

func (c *Conn) refuseHeader(alert tls.AlertError, header [HeaderLen]byte, msg string) error {
	return c.refuseWith(alert, tls.RecordHeaderError{Msg: msg, RecordHeader: header})
}

// ignore goes over a change_cipher_spec, but for one in the middle of a message.
func (c *Conn) ignore(content []byte) error {
	switch {
	case len(content) > maxPlaintext:
		return c.refuse(alertRecordOverflow)
	case c.in.began > 0:
		return c.refuse(alertUnexpectedMessage)
	case len(content) != 1 || content[0] != 1:
		return c.refuse(alertDecodeError)
	}
	return c.wasUseless("tls: too many ignored records")
}

// wasUseless counts what has brought no data.
func (c *Conn) wasUseless(text string) error {
	c.in.useless++
	if c.in.useless > maxUseless {
		return c.refuseWith(alertUnexpectedMessage, errors.New(text))
	}
	return nil
}

// takeData has data read. It also has the peer change its key in time.
func (c *Conn) takeData(content []byte) error {
	in := &c.in
	if len(content) == 0 {
		return c.wasUseless("tls: too many ignored records")
	}
	in.useless = 0
	if in.half.Seq >= MaxRecords {
		return c.refuseWith(alertInternalError, errKeyLimit)
	}
	if in.half.Seq >= updateAfter && !in.asked {
		in.asked = true
		_ = c.UpdateKeys(true) // the next Write has the error
	}
	in.plain = content
	return nil
}

// takeAlert acts on an alert. All but user_canceled end the connection (RFC 8446, 6.1), of which some clients send too many
// (conn.go:757 of Go 1.26).
func (c *Conn) takeAlert(content []byte) error {
	if len(content) != 2 {
		return c.refuse(alertUnexpectedMessage)
	}
	switch alert := tls.AlertError(content[1]); alert {
	case alertCloseNotify:
		c.in.err = io.EOF
	case alertUserCanceled:
		return c.wasUseless("tls: too many ignored records")
	default:
		c.in.err = permanent(remoteError(alert))
	}
	return c.in.err
}

// takeMessages acts on the messages of a record, the last of which may be incomplete. Only KeyUpdate is one that a server gets
// after the handshake; since nothing of a message under the old key may come after it (RFC 8446, 5.1), it is the last in its record.
func (c *Conn) takeMessages(content []byte) error {
	in := &c.in
	if len(content) == 0 {
		return c.refuse(alertUnexpectedMessage)
	}
	n := copy(in.message[in.began:], content)
	in.began += n
	if in.began < 4 {
		return nil
	}
	kind, length := in.message[0], int(in.message[1])<<16|int(in.message[2])<<8|int(in.message[3])
	most := maxMessage
	if kind == messageCertificate {
		most = maxCertificateMessage
	}
	if length > most {
		return c.refuseWith(alertInternalError, fmt.Errorf("tls: handshake message of length %d bytes exceeds maximum of %d bytes", length, most))
	}
	if kind != messageKeyUpdate {
		return c.refuseWith(alertUnexpectedMessage, fmt.Errorf("tls: received unexpected handshake message of type %d", kind))
	}
	if length != 1 {
		return c.refuse(alertDecodeError)
	}
	if in.began < len(in.message) {
		return nil
	}
	in.began = 0
	return c.takeKeyUpdate(in.message[4], len(content) > n)
}

// takeKeyUpdate acts on a KeyUpdate, after which more follows in its record if more. An answer goes out before that is
// looked at, as by crypto/tls (conn.go:1347).
func (c *Conn) takeKeyUpdate(request byte, more bool) error {
	if request > 1 {
		return c.refuse(alertDecodeError)
	}
	if err := c.wasUseless("tls: too many non-advancing records"); err != nil {
		return err
	}
	if request == 1 {
		_ = c.UpdateKeys(false) // the next Write has the error
	}
	if more {
		return c.refuseWith(alertUnexpectedMessage, errors.New("tls: handshake buffer not empty before setting read traffic secret"))
	}
	c.in.half.Update()
	c.in.asked = false
	return nil
}
