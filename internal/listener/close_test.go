package listener

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a socket that cannot be closed before its time, as one with a descriptor in its queue whose close takes long.
type stuck struct {
	socket

	until time.Duration
	ended atomic.Bool
}

func (s *stuck) Close() error {
	time.Sleep(s.until)
	s.ended.Store(true)
	return nil
}

// A connection that cannot be closed keeps nobody from closing the others, nor the generation from its end.
func TestClosingWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		first, second := &stuck{until: time.Hour}, &stuck{until: time.Millisecond}
		closeAll([]socket{first, second})
		if took := time.Since(began); took > cutGrace || !second.ended.Load() || first.ended.Load() {
			t.Errorf("it has taken %v, and the others are closed: %t", took, second.ended.Load())
		}
		time.Sleep(first.until)
	})
}
