package listener

import (
	"errors"
	"net"
	"os"
	"time"
)

// park has s, of which nothing has been read yet, wait for its first byte.
func (a *Arrivals) park(s socket) {
	w := s.part().came.way
	if w == HTTP2Way || w == HijackedWay { // moves on as it came, but waits as others do
		w = OpenWay
	}
	a.mu.Lock()
	limit := a.limits[w]
	a.mu.Unlock()
	a.parked.Add(1)
	go a.wait(s, w, limit)
}

// wait waits until s has something to read, and then has Accept return it. A
// parked connection is idle all the time, and limit, the idle timeout at its adoption, bounds that: when the listener drains, it does what
// idle connections do.
func (a *Arrivals) wait(s socket, w Way, limit time.Duration) {
	defer a.parked.Add(-1)
	came := &s.part().came
	r := &IdleReader{way: w}
	if w == SealedWay {
		r.with = &came.box
	}
	r.Init(s, func(int) bool { return true })
	r.grace = time.Now().Add(freshGrace) // an older generation may have had it for an instant only
	if limit > 0 {
		_ = r.SetReadDeadline(time.Now().Add(limit))
	}
	switch err := r.waitReadable(); {
	case err == nil, errors.Is(err, errStays):
		r.Retire()
		offer(s)
	case errors.Is(err, errEOF), errors.Is(err, net.ErrClosed):
		_ = s.Close() // the client has gone, or it has moved on
	case errors.Is(err, os.ErrDeadlineExceeded) && came.told:
		r.Retire()
		came.over = true
		offer(s)
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = s.CloseRead()
		if readable, _ := peek(s.NetConn()); readable {
			r.Retire()
			offer(s) // the request came just in time
			return
		}
		_ = s.Close()
	default:
		_ = s.Close()
	}
}
