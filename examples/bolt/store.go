package main

import (
	"context"
	"errors"
	"log"
	"sync"

	bolt "go.etcd.io/bbolt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

// errReleased means that the file is another generation's.
var errReleased = errors.New("another generation has the file")

// store is a bolt file while this generation has it. Its methods are safe for concurrent use.
type store struct {
	mu    sync.RWMutex  // held for reading while the file is used; guards what follows
	db    *bolt.DB      // nil while this generation has not got it
	taken chan struct{} // closed when it has
}

func newStore() *store { return &store{taken: make(chan struct{})} }

func (s *store) take(db *bolt.DB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db = db
	close(s.taken)
}

// use calls f with the file, once it is there. The error is f's own, ctx's, or errReleased in a generation that drains. ctx is a request's.
func (s *store) use(ctx context.Context, f func(*bolt.DB) error) error {
	s.mu.RLock()
	taken := s.taken
	s.mu.RUnlock()
	select {
	case <-taken:
	case <-httpx.Draining(ctx):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return errReleased
	}
	return f(s.db)
}

// release lets go of the file, if it is there, after those who use it now.
func (s *store) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return
	}
	if err := s.db.Close(); err != nil {
		log.Printf("close: %v", err)
	}
	s.db, s.taken = nil, make(chan struct{})
}
