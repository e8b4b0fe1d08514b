package httpx

import (
	"sync"
	"sync/atomic"
	"time"
)

// holdLimit is how long new streams are held back while the open ones may end. Tests change it. It is counted in holdTicks, of which a process that gets
// no processor for a while misses some: on a busy machine the open streams have their time all the same.
var holdLimit = time.Second

const holdTicks = 10

// h2Attempt is whether a connection may still move in this drain.
type h2Attempt struct {
	isOn atomic.Bool // new streams are held back

	mu    sync.Mutex  // guards what follows
	timer *time.Timer // runs while new streams are held back
	ticks int         // of it, still to come
	late  bool        // they have all come
	stays bool        // the connection, in this drain
	due   bool        // its client is to be sent away if it stays
}

// begin bounds how long new streams are held back. late is called when that has been too long.
func (a *h2Attempt) begin(late func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isOn.Store(true)
	a.ticks = holdTicks
	a.timer = time.AfterFunc(holdLimit/holdTicks, func() {
		if a.tick() {
			late()
		}
	})
}

// tick reports whether it was the last one.
func (a *h2Attempt) tick() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.isOn.Load() {
		return false
	}
	if a.ticks--; a.ticks > 0 {
		a.timer.Reset(holdLimit / holdTicks)
		return false
	}
	a.late = true
	return true
}

// stop undoes begin. It may be called again.
func (a *h2Attempt) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isOn.Store(false)
	a.late = false
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (a *h2Attempt) isLate() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.late
}

// giveUp notes whether the connection stays in this drain.
func (a *h2Attempt) giveUp(stays bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stays = stays
}

func (a *h2Attempt) hasFailed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stays
}

// owe notes that the client is to be sent away when the connection stays. It is false where that is known already.
func (a *h2Attempt) owe() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = a.due || !a.stays
	return !a.stays
}

// pay reports, once, whether the client is to be sent away now.
func (a *h2Attempt) pay() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	due := a.due
	a.due = false
	return due
}

// forget is called when the drain is called off. In the next one the connection may move.
func (a *h2Attempt) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stays, a.due = false, false
}
