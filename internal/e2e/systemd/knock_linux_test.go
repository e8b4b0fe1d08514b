package systemd

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// knocker has clients come one after the other, each with a connection of its own.
type knocker struct {
	t    *testing.T
	addr string
	over chan struct{}
	all  sync.WaitGroup

	mu       sync.Mutex
	answered int
	since    time.Time           // see mark
	failed   map[time.Time]error // by when the client came
}

func knock(t *testing.T, addr string) *knocker {
	t.Helper()
	k := &knocker{t: t, addr: addr, over: make(chan struct{}), failed: make(map[time.Time]error)}
	for range 4 {
		k.all.Go(func() {
			for {
				select {
				case <-k.over:
					return
				case <-time.After(2 * time.Millisecond): // so many a second
					k.come()
				}
			}
		})
	}
	return k
}

func (k *knocker) come() {
	begin := time.Now()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + k.addr + "/")
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.failed[begin] = err
		return
	}
	k.answered++
}

// await waits until more clients have been answered.
func (k *knocker) await(more int) {
	k.t.Helper()
	answered := func() int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.answered
	}
	goal := answered() + more
	for deadline := time.Now().Add(patience); answered() < goal; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.t.Fatalf("%d clients have been answered after %v, want %d", answered(), patience, goal)
		}
	}
}

// mark has clients that come from now on lose nothing.
func (k *knocker) mark() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since = time.Now()
}

// stop checks that none has failed that came after the mark.
func (k *knocker) stop() {
	k.t.Helper()
	close(k.over)
	k.all.Wait()
	for begin, err := range k.failed {
		if begin.After(k.since) {
			k.t.Errorf("a client that came %v after the moment from which on none should fail: %v", begin.Sub(k.since), err)
		}
	}
}

// tellLost says what was lost before, and returns how many clients were refused.
func (k *knocker) tellLost() (refused int) {
	k.t.Helper()
	for _, err := range k.failed {
		if errors.Is(err, syscall.ECONNREFUSED) {
			refused++
		}
	}
	k.t.Logf("%d clients were cut, and %d refused, of %d", len(k.failed)-refused, refused, len(k.failed)+k.answered)
	return refused
}
