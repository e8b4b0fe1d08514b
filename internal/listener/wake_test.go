package listener_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// willing would take all connections.
type willing struct{}

func (willing) Takes(string) bool                       { return true }
func (willing) Move(string, []byte, syscall.Conn) error { return syscall.EINVAL }

// crowd is a listener with readers who wait. They say that they are busy when they are asked.
type crowd struct {
	*listener.Listener
	asked atomic.Int64
}

func (c *crowd) join(t *testing.T, dial func() (net.Conn, error), handedOver bool) {
	t.Helper()
	server, _ := pair(t, c, dial)
	r := new(listener.IdleReader)
	r.Init(server.(listener.Conn), func(int) bool {
		c.asked.Add(1)
		return false
	})
	read := r.Read
	if handedOver {
		r.Retire()
		r.Unretire()
		read = func(b []byte) (int, error) {
			_, err := r.ReadWoken(b)
			if errors.Is(err, listener.ErrWoken) {
				c.asked.Add(1)
			}
			return 0, err
		}
	}
	go func() { _, _ = read(make([]byte, 1)) }()
}

// Where idle connections move, each has its turn, so that requests find a processor; many of them have less time each.
func TestConnectionsMoveInTurn(t *testing.T) {
	for _, tt := range []struct {
		conns, handedOver int
		moves             bool
		after             time.Duration // the beginning of the drain
		least, most       int64         // are asked
	}{
		{16, 0, true, 0, 16, 16},
		{100, 0, true, 0, 16, 16},
		{100, 3, true, 0, 19, 19},
		{0, 3, true, 0, 3, 3},
		{100, 0, true, 50 * time.Millisecond, 66, 66},
		{100, 0, true, 84 * time.Millisecond, 100, 100},
		{2000, 0, true, 250 * time.Millisecond, 1016, 1020},
		{2000, 0, true, 500 * time.Millisecond, 2000, 2000},
		{100, 0, false, 0, 100, 100},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, mem := inMemory(listener.Options{HandoverKey: "http web"})
				c := &crowd{Listener: ln}
				for i := range tt.conns + tt.handedOver {
					c.join(t, mem.Dial, i >= tt.conns)
				}
				synctest.Wait()
				if tt.moves {
					ln.MoveIdle(willing{})
				}
				ln.StopAccepting()
				time.Sleep(tt.after)
				synctest.Wait()
				if got := c.asked.Load(); got < tt.least || got > tt.most {
					t.Errorf("%d are asked, want %d to %d", got, tt.least, tt.most)
				}
			})
		})
	}
}

func none(*listener.Listener) {}

// Where there is no time for turns, all who wait for theirs are asked: when the drain is expedited, and when half of its time is over.
func TestTurnsEnd(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit time.Duration // of the drain
		first func(*listener.Listener)
		end   func(*listener.Listener)
		least int64
	}{
		{"expedited", time.Hour, none, (*listener.Listener).Expedite, 100},
		{"expedited before", time.Hour, (*listener.Listener).Expedite, none, 100},
		{"late", 40 * time.Millisecond, none, func(*listener.Listener) { time.Sleep(20 * time.Millisecond) }, 100},
		{"goes on", time.Hour, none, func(*listener.Listener) { time.Sleep(20 * time.Millisecond) }, 36},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, mem := inMemory(listener.Options{HandoverKey: "http web"})
				c := &crowd{Listener: ln}
				for range 100 {
					c.join(t, mem.Dial, false)
				}
				synctest.Wait()
				ln.MoveIdle(willing{})
				tt.first(ln)
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				drained := make(chan struct{})
				go func() {
					defer close(drained)
					ln.Drain(ctx)
				}()
				synctest.Wait()
				tt.end(ln)
				synctest.Wait()
				if got := c.asked.Load(); got < tt.least || tt.least < 100 && got > 2*tt.least {
					t.Errorf("%d are asked, want %d", got, tt.least)
				}
				cancel()
				<-drained
			})
		})
	}
}
