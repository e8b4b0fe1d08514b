package tickets

import (
	"sync"
	"time"
)

// Rotator replaces secrets as they age. A nil Rotator is valid, and does nothing. Its methods are safe for concurrent use.
type Rotator struct {
	use    func([]Secret) error
	failed func(error)

	mu      sync.Mutex // held while use runs
	secrets []Secret
	timer   *time.Timer
	stopped bool
}

// Start calls use with secrets, one of which is new if that is due, and whenever another one is due, until Stop. The error is that of the first
// call; those of later ones go to failed.
func Start(secrets []Secret, use func([]Secret) error, failed func(error)) (*Rotator, error) {
	r := &Rotator{use: use, failed: failed, secrets: Rotate(secrets, time.Now())}
	if err := use(r.secrets); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = time.AfterFunc(Next(r.secrets, time.Now()), r.rotate)
	return r, nil
}

func (r *Rotator) rotate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	r.secrets = Rotate(r.secrets, time.Now())
	if err := r.use(r.secrets); err != nil {
		r.failed(err)
	}
	r.timer.Reset(Next(r.secrets, time.Now()))
}

// Stop ends the rotation until Resume. use is not running when it returns.
func (r *Rotator) Stop() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.timer.Stop()
}

// Resume goes on after Stop.
func (r *Rotator) Resume() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = false
	r.timer.Reset(Next(r.secrets, time.Now()))
}
