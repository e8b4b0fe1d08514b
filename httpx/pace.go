package httpx

import (
	"net/http"
	"sync"
	"time"
)

// pace spreads over time what has clients reconnect. A server that drains has one.
type pace struct {
	begin     time.Time
	over      time.Duration   // zero: at once
	expedited <-chan struct{} // closed: at once from now on
	ended     <-chan struct{} // closed by end: not at all any more, as the drain is called off, or no Serve is left
	end       func()          // may be called again
}

func newPace(over time.Duration, expedited <-chan struct{}) *pace {
	ended := make(chan struct{})
	return &pace{
		begin:     time.Now(),
		over:      over,
		expedited: expedited,
		ended:     ended,
		end:       sync.OnceFunc(func() { close(ended) }),
	}
}

// each calls do(0) to do(n-1) at even distances, and returns after the last.
func (p *pace) each(n int, do func(i int)) {
	for i := range n {
		if !p.await(p.over / time.Duration(n) * time.Duration(i)) {
			return
		}
		do(i)
	}
}

// await waits until a time after the beginning, and reports false if that does
// not matter any more.
func (p *pace) await(after time.Duration) bool {
	timer := time.NewTimer(time.Until(p.begin.Add(after)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.expedited:
	case <-p.ended:
		return false
	}
	return true
}

// isDue reports whether the time has come for the connection of r, in HTTP/1. Each has its own
// time, so that a busy one does not come early: that at which its handlers are told of the drain.
func (p *pace) isDue(r *http.Request) bool {
	if p.over <= 0 {
		return true
	}
	select {
	case <-p.expedited:
		return true
	default:
	}
	c, ok := r.Context().Value(connKey{}).(*served)
	return !ok || time.Since(p.begin) >= p.over/slots*time.Duration(c.slot)
}
