package socket_test

import (
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// lingering takes its time to be closed, as a connection with a descriptor in its queue whose close takes long.
type lingering time.Duration

func (l lingering) Close() error {
	time.Sleep(time.Duration(l))
	return nil
}

// Nobody waits for a connection that cannot be closed, as that of root's probe to a socket of another user's.
func TestLeaveWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		socket.Leave(lingering(time.Hour))
		if took := time.Since(began); took > time.Second {
			t.Errorf("it has taken %v", took)
		}
		time.Sleep(time.Hour)
	})
}
