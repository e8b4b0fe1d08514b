package main

import (
	"context"
	"errors"
	"log"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// errReleased means that the file is the next generation's.
var errReleased = errors.New("another generation has the file")

// store is a bolt file for as long as this process may have it: from when the
// generation before has let go of it until it is released. Its methods are safe for
// concurrent use.
type store struct {
	opened   chan struct{} // closed when db or err is set
	released chan struct{} // closed by release
	once     sync.Once     // guards the closing of released

	mu  sync.RWMutex // held for reading while the file is used; guards what follows
	db  *bolt.DB     // nil before it is opened and after it is released
	err error        // why it could not be opened
}

func newStore() *store {
	return &store{opened: make(chan struct{}), released: make(chan struct{})}
}

// open opens the file when no other process has it any more, unless the store has
// been released by then. bolt's own lock, which ends with its process at
// the latest, says when that is.
func (s *store) open(path string) {
	for {
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
		if !errors.Is(err, bolterrors.ErrTimeout) {
			s.take(db, err)
			return
		}
		select {
		case <-s.released:
			return
		default:
		}
	}
}

// take keeps what has been opened, or closes it if that is too late.
func (s *store) take(db *bolt.DB, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.released:
		if err == nil {
			closeDB(db)
		}
		return
	default:
	}
	s.db, s.err = db, err
	close(s.opened)
}

// use calls f with the file, once it is open. The error is f's own, errReleased,
// ctx's, or why there is no file.
func (s *store) use(ctx context.Context, f func(*bolt.DB) error) error {
	select {
	case <-s.opened:
	case <-s.released:
		return errReleased
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.err != nil:
		return s.err
	case s.db == nil:
		return errReleased
	}
	return f(s.db)
}

// release lets go of the file after those who use it now. What comes later, and what
// still waits for it, gets errReleased.
func (s *store) release() {
	s.once.Do(func() { close(s.released) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		closeDB(s.db)
		s.db = nil
	}
}

func closeDB(db *bolt.DB) {
	if err := db.Close(); err != nil {
		log.Printf("close: %v", err)
	}
}
