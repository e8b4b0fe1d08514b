package handover

import "errors"

// ErrRefused is returned by Move when the successor does not take the connection:
// it stays where it is. The error's text says why.
var ErrRefused error = untaken{errors.New("handover: the successor does not take it")}

// ErrGone is returned by Move when there is no successor any more, and it has not taken the connection.
var ErrGone error = untaken{errors.New("handover: the successor is gone")}

// ErrUncertain is returned by Move when the channel has ended in a way that leaves open whether the
// successor has taken the connection.
var ErrUncertain = errors.New("handover: nobody knows whether the successor has taken it")

// untaken is an error after which a connection certainly has its old owner, and no other. An owner to whom
// another one would be a danger asks for its method, so that an error that does not know counts as the danger.
type untaken struct{ error }

// Untaken reports true.
func (untaken) Untaken() bool { return true }

// Unwrap returns the error that is certain.
func (u untaken) Unwrap() error { return u.error }
