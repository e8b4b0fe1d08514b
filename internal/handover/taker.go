package handover

import "net"

// Taker takes a connection that an older generation hands over: after
// an error conn has been left alone, and the older generation keeps its own. Until answered is called,
// conn is not used: with nil once the older generation will read that the connection is taken, with an error if that could not be said, and
// then it may still have the connection. state is the Taker's if it takes the connection, and is cleared otherwise.
type Taker func(key string, conn net.Conn, state []byte) (answered func(error), err error)
