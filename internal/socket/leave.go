package socket

import (
	"io"
	"time"
)

// leaveWait is how long a connection may take to be closed, which is no time at all.
const leaveWait = 100 * time.Millisecond

// Leave closes a connection, and waits for that no longer than leaveWait: whoever answers may have
// sent a descriptor along whose close takes as long as he wants, where the kernel cannot refuse it.
func Leave(conn io.Closer) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = conn.Close()
	}()
	timer := time.NewTimer(leaveWait)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}
