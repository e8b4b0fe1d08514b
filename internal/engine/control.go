package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
)

// answerWait is how long a generation that has nothing else left to do waits until those who
// have asked it something on its control socket have read the answer.
const answerWait = time.Second

// controlSocket is this generation's.
type controlSocket struct {
	daemon  server.Daemon
	pidfile string
	fds     *fdReserve
	log     *slog.Logger

	mu   sync.Mutex     // guards what follows
	srv  *server.Server // nil if it is not open
	over bool           // it is too late to open it, or this platform has none
}

// controlAgain is how long after there was no room for a control socket it is tried again.
const controlAgain = 500 * time.Millisecond

// open opens the control socket of a generation that serves, unless it is open. The daemon does its
// work without one. If the disk is full, or clients have taken all descriptors, it is tried again until there is room, or this generation
// serves no longer.
func (c *controlSocket) open(serves context.Context) {
	err := c.try()
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		return
	}
	c.log.Warn("no control socket: gozdctl cannot ask this generation", "error", err)
	go c.openAtLast(serves, err)
}

func (c *controlSocket) openAtLast(serves context.Context, err error) {
	tick := time.NewTicker(controlAgain)
	defer tick.Stop()
	for isShort(err) {
		select {
		case <-tick.C:
		case <-serves.Done():
			return
		}
		err = c.tryInRoom()
	}
	if err == nil {
		c.log.Info("control socket opened at last")
	}
}

// try does nothing when it is too late.
func (c *controlSocket) try() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && c.srv == nil {
		c.srv, err = server.Open(c.daemon, server.Options{PIDFile: c.pidfile, Log: c.log, Room: c.fds.lend})
	}
	return err
}

func (c *controlSocket) tryInRoom() error {
	defer c.fds.lend()()
	return c.try()
}

// isShort recognises what passes by itself.
func isShort(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// leave lets nobody in any more, and removes the socket's file. Answers go on. No other is opened.
func (c *controlSocket) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.srv == nil {
		return
	}
	if err := c.srv.Leave(); err != nil {
		c.log.Warn("control socket not removed", "error", err)
	}
}

// close is leave, and gives answers that have begun a moment to end.
func (c *controlSocket) close() {
	c.leave()
	c.mu.Lock()
	srv := c.srv
	c.mu.Unlock()
	if srv == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	_ = srv.Close(ctx) // Leave has said what there was to say
}
