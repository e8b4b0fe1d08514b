package httpx

import (
	"net"
	"testing"
	"time"
)

// Whom the end of a drain has overtaken stays: each client is sent away in a goroutine of its own, which may be late.
func TestLateGoAwayAfterAResume(t *testing.T) {
	for _, born := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		var h h2Conns
		c := newPlainH2Conn(server)
		c.youth.born = born
		defer h.follow(c)()
		h.sendAway(newPace(0, nil))
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // its own goroutine
			c.mu.Lock()
			begun := c.youth.timer != nil || c.away != staying
			c.mu.Unlock()
			if begun {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("nobody is sent away")
			}
		}
		h.stay()
		c.mu.Lock()
		c.away = staying // as if this goroutine had been the late one
		c.mu.Unlock()
		c.sendAwaySoon()
		c.mu.Lock()
		if c.youth.timer != nil || c.away != staying {
			t.Errorf("born %v: it is sent away, or will be", born)
		}
		c.mu.Unlock()
	}
}
