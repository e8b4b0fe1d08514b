package listen

import "errors"

// ErrNoSuccessor is returned by [Conn.Handover] when there is no process that
// would take the connection: this generation still serves, its successor does
// not serve the connection's group, or connections cannot be moved on this
// platform. The connection is untouched and stays the caller's.
var ErrNoSuccessor = errors.New("listen: no successor takes this connection")
