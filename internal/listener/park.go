package listener

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// parking has the adopted connections of which nothing has been read yet.
type parking struct {
	limits [len(ways)]time.Duration // how long one waits that moves so; 0: for ever. The Listener's lock guards it
	parked atomic.Int32             // calls of park
}

func (p *parking) count() int { return int(p.parked.Load()) }

// SetIdleTimeout bounds how long an adopted connection may stay parked: then it is
// closed, as its adapter would close an idle one. It counts from the adoption. If
// d is zero or negative, there is no bound. Connections that are parked already are
// not affected.
func (l *Listener) SetIdleTimeout(d time.Duration) {
	l.setLimit(openWay, d)
	l.setLimit(sealedWay, d)
}

// SetSilentTimeout is SetIdleTimeout for connections of a [TLSListener] whose client has not begun its handshake.
func (l *Listener) SetSilentTimeout(d time.Duration) { l.setLimit(silentWay, d) }

func (l *Listener) setLimit(w way, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parking.limits[w] = max(d, 0)
}

// begin parks s, which moves on by w.
func (p *parking) begin(s socket, w way) {
	p.parked.Add(1)
	go p.park(s, w, p.limits[w])
}

// park waits until s has something to read, and then has Accept return it. A
// parked connection is idle all the time, and limit, the idle timeout at its adoption, bounds that: when the listener drains, it does what
// idle connections do.
func (p *parking) park(s socket, w way, limit time.Duration) {
	defer p.parked.Add(-1)
	r := &IdleReader{way: w}
	if w == sealedWay {
		r.with = s.seal()
	}
	r.Init(s, func(int) bool { return true })
	r.grace = time.Now().Add(freshGrace) // an older generation may have had it for an instant only
	if limit > 0 {
		_ = r.SetReadDeadline(time.Now().Add(limit))
	}
	switch err := r.waitReadable(); {
	case err == nil, errors.Is(err, errStays):
		r.Retire()
		s.offer(s)
	case errors.Is(err, errEOF), errors.Is(err, net.ErrClosed):
		_ = s.Close() // the client has gone, or it has moved on
	case errors.Is(err, os.ErrDeadlineExceeded) && s.http2().told:
		r.Retire()
		s.http2().over = true
		s.offer(s)
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = s.CloseRead()
		if readable, _ := peek(s.NetConn()); readable {
			r.Retire()
			s.offer(s) // the request came just in time
			return
		}
		_ = s.Close()
	default:
		_ = s.Close()
	}
}
