package httpx

import (
	"hash/maphash"
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
	seed      maphash.Seed
}

func newPace(over time.Duration, expedited <-chan struct{}) *pace {
	ended := make(chan struct{})
	return &pace{
		begin:     time.Now(),
		over:      over,
		expedited: expedited,
		ended:     ended,
		end:       sync.OnceFunc(func() { close(ended) }),
		seed:      maphash.MakeSeed(),
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
// time, so that a busy one does not come early. Connections are told apart by net/http's
// state of their TLS or, without TLS, by the client's address; those of a Unix socket are all the same.
func (p *pace) isDue(r *http.Request) bool {
	if p.over <= 0 {
		return true
	}
	select {
	case <-p.expedited:
		return true
	default:
	}
	var hash uint64
	if r.TLS != nil {
		hash = maphash.Comparable(p.seed, r.TLS)
	} else {
		hash = maphash.String(p.seed, r.RemoteAddr)
	}
	return time.Since(p.begin) >= time.Duration(hash%uint64(p.over))
}
