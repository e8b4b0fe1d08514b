package tlsrec

import (
	"crypto/tls"
	"net"
)

// The alerts of RFC 8446, 6, that this package sends or knows.
const (
	alertCloseNotify       tls.AlertError = 0
	alertUnexpectedMessage tls.AlertError = 10
	alertBadRecordMAC      tls.AlertError = 20
	alertRecordOverflow    tls.AlertError = 22
	alertDecodeError       tls.AlertError = 50
	alertProtocolVersion   tls.AlertError = 70
	alertInternalError     tls.AlertError = 80
	alertUserCanceled      tls.AlertError = 90
)

// The levels of alerts.
const (
	levelWarning = 1
	levelFatal   = 2
)

// localError is the error of a connection that has sent an alert, remoteError of one that has got one; both as crypto/tls has them.
func localError(a tls.AlertError) error { return &net.OpError{Op: "local error", Err: a} }

func remoteError(a tls.AlertError) error { return &net.OpError{Op: "remote error", Err: a} }

// permanentError is an error of the connection below after which nothing can be gone on with, a timeout in the middle of a
// record for instance: net/http and others try again after a temporary one.
type permanentError struct {
	err net.Error
}

func (e *permanentError) Error() string   { return e.err.Error() }
func (e *permanentError) Unwrap() error   { return e.err }
func (e *permanentError) Timeout() bool   { return e.err.Timeout() }
func (e *permanentError) Temporary() bool { return false }

// permanent is err, as what later calls return.
func permanent(err error) error {
	if e, ok := err.(net.Error); ok { // as crypto/tls has it: what is wrapped is for its wrapper to say
		return &permanentError{err: e}
	}
	return err
}
