package httpx

import (
	"sync"
	"sync/atomic"
	"time"
)

// holdLimit is how long new streams are held back while the open ones may end. Tests change it.
var holdLimit = time.Second

// h2Attempt is whether a connection may still move in this drain.
type h2Attempt struct {
	isOn atomic.Bool // new streams are held back

	mu    sync.Mutex  // guards what follows
	timer *time.Timer // runs while new streams are held back
	late  bool        // it has
	stays bool        // the connection, in this drain
	due   bool        // its client is to be sent away if it stays
}

// begin bounds how long new streams are held back. late is called when that has been too long.
func (a *h2Attempt) begin(late func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isOn.Store(true)
	a.timer = time.AfterFunc(holdLimit, func() {
		a.mu.Lock()
		a.late = a.isOn.Load()
		a.mu.Unlock()
		late()
	})
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
