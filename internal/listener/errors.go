package listener

import "errors"

// ErrNoSuccessor is listen.ErrNoSuccessor.
var ErrNoSuccessor = errors.New("listen: no successor takes this connection")

// ErrCut is listen.ErrCut.
var ErrCut = errors.New("listen: the time for connections is over, and the client has not said that this is all")
