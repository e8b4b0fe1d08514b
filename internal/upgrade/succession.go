package upgrade

import "sync"

// succession is this generation's place in the line: whether it may be replaced, who has replaced it, and whether it stands by. Stop may come
// at any moment of an upgrade, so all of that is under one lock. Its zero value, with a generation, is one that is not ready.
type succession struct {
	generation int // of this process

	mu      sync.Mutex // guards what follows
	ready   bool
	last    int      // the newest generation that has taken over from this one; 0 for none
	stopped bool     // Stop was called
	offered *standby // of the upgrade in progress; nil without one
	spared  bool     // its successor had taken over when Stop was called
	pending bool     // tableflip waits for a successor that has taken over: it must not be stopped
	standby *standby // behind the successor; nil if this process does not stand by
}

// markReady notes that this process is ready.
func (s *succession) markReady() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
}

func (s *succession) isReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// next is no number that a generation has had which has taken over.
func (s *succession) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nextLocked()
}

func (s *succession) nextLocked() int { return max(s.generation, s.last) + 1 }

// newest is the number of the generation that has taken over.
func (s *succession) newest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// offer notes by which channel a successor says that it has taken over.
func (s *succession) offer(channel *standby) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered = channel
}

// commit notes that the successor has taken over, and reports false when it is being killed, since Stop was called.
func (s *succession) commit(channel *standby) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if channel != nil && s.stopped && !s.spared {
		return false
	}
	s.last = s.nextLocked()
	s.standby, s.pending = channel, channel != nil
	return true
}

// standsBy reports whether this process stands by behind its successor.
func (s *succession) standsBy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standby != nil
}

// endStandby has this process not stand by any more. It returns the channel to the successor, for the caller to release; nil for none.
func (s *succession) endStandby() *standby {
	s.mu.Lock()
	defer s.mu.Unlock()
	channel := s.standby
	s.standby = nil
	return channel
}

// survive has this process be one that can be upgraded again, and stopped: stop is called if it has been meanwhile.
func (s *succession) survive(stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = false
	s.standby.release()
	s.standby = nil
	if s.stopped {
		stop()
	}
}

// stop refuses later upgrades. It reports whether tableflip is to be stopped, which kills whom it has started: a successor that has
// taken over is spared.
func (s *succession) stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.spared = s.offered.hasTaken()
	return !s.pending && !s.spared
}
