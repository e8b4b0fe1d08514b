package recipes

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// session is one connection of a client that never tries twice. It asks until one of both sides has enough, one question after the
// other, and tells l of each answer.
type session func(address string, l *load) error

// load has clients, each with one session after the other.
type load struct {
	clients  sync.WaitGroup
	over     atomic.Bool
	answered [128]atomic.Int64 // by generation
}

// perSession is how much a client asks by a connection that nothing ends before.
const perSession = 20

func (l *load) goesOn() bool { return !l.over.Load() }

// answer notes who has answered.
func (l *load) answer(generation int) error {
	if generation < 1 || generation >= len(l.answered) {
		return fmt.Errorf("answered by generation %d", generation)
	}
	l.answered[generation].Add(1)
	return nil
}

// start starts n clients. One that fails fails the test, and asks no more.
func (l *load) start(t *testing.T, n int, address string, s session) {
	t.Helper()
	for range n {
		l.clients.Go(func() {
			for l.goesOn() {
				if err := s(address, l); err != nil {
					t.Errorf("after %d answers: %v", l.total(), err)
					return
				}
			}
		})
	}
	t.Cleanup(l.stop)
}

func (l *load) stop() {
	l.over.Store(true)
	l.clients.Wait()
}

func (l *load) total() (n int64) {
	for i := range l.answered {
		n += l.answered[i].Load()
	}
	return n
}

// await waits until a generation has answered enough.
func (l *load) await(t *testing.T, generation int) {
	t.Helper()
	daemontest.Await(t, fmt.Sprintf("answer of generation %d", generation), func() bool {
		return l.answered[generation].Load() >= 50 || t.Failed()
	})
}
