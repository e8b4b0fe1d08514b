package listener

import "errors"

// ErrNoSuccessor is listen.ErrNoSuccessor.
var ErrNoSuccessor = errors.New("listen: no successor takes this connection")
