package tlswatch

import (
	"crypto/fips140"
	"errors"
	"sync/atomic"
)

// The reasons why no connection moves in this process.
var (
	// ErrFIPS is of a process whose cryptography must be that of the FIPS 140-3 module, for which package tlsrec's use of it is not made.
	ErrFIPS = errors.New("tlswatch: TLS connections do not move in FIPS mode")
	// ErrSelfTest is of a process in which [SelfTest] has failed.
	ErrSelfTest = errors.New("tlswatch: the test of moving TLS connections has failed")
	// ErrAudit is of a process in which [Conn.Audit] has failed.
	ErrAudit = errors.New("tlswatch: a TLS connection has moved in a wrong state")
)

// off is why nothing moves.
var off atomic.Pointer[error]

// draining is set by [Draining].
var draining atomic.Bool

// Err returns nil as long as connections may move in this process, and else why not; then it stays so.
func Err() error {
	if err := off.Load(); err != nil {
		return *err
	}
	if fips140.Enabled() {
		return ErrFIPS
	}
	return nil
}

// switchOff has no connection move any more, and returns err. The first error stays.
func switchOff(err error) error {
	off.CompareAndSwap(nil, &err)
	return err
}

// Draining says whether this process drains: then records of the largest size are kept too, so that connections whose last record such a
// one is have a proof.
func Draining(on bool) { draining.Store(on) }
