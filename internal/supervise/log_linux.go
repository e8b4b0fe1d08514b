package supervise

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxLines  = 256                    // that wait to be written
	lastWrite = 200 * time.Millisecond // for what is left to be written in the end
)

// lines are those of the log, which another goroutine writes: where they go nobody may read, as on a terminal that has been
// stopped, and a supervisor that waited for that would hear no signal. Those for which there is no room are counted only.
type lines struct {
	queue   chan line
	dropped atomic.Int64
	once    sync.Once
	written chan struct{} // closed when all has been
}

type line struct {
	to     slog.Handler
	record slog.Record
}

// unwaiting returns a logger that writes as log does, and waits for nobody.
func unwaiting(log *slog.Logger) (*slog.Logger, *lines) {
	l := &lines{queue: make(chan line, maxLines), written: make(chan struct{})}
	go l.write(log)
	return slog.New(queued{log.Handler(), l}), l
}

func (l *lines) write(log *slog.Logger) {
	defer close(l.written)
	writeInBackground()
	for next := range l.queue {
		_ = next.to.Handle(context.Background(), next.record) // there is nowhere to say so
		if n := l.dropped.Swap(0); n > 0 {
			log.Warn("lines of the log are missing: nobody has read it for some time", "lines", n)
		}
	}
}

// end waits for an instant until all has been written, each time that it is called. Nothing may be logged any more.
func (l *lines) end() {
	l.once.Do(func() { close(l.queue) })
	select {
	case <-l.written:
	case <-time.After(lastWrite):
	}
}

// queued has lines written by another goroutine.
type queued struct {
	slog.Handler
	lines *lines
}

// Handle implements slog.Handler.
func (q queued) Handle(_ context.Context, r slog.Record) error {
	select {
	case q.lines.queue <- line{q.Handler, r.Clone()}:
	default:
		q.lines.dropped.Add(1)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (q queued) WithAttrs(attrs []slog.Attr) slog.Handler {
	return queued{q.Handler.WithAttrs(attrs), q.lines}
}

// WithGroup implements slog.Handler.
func (q queued) WithGroup(name string) slog.Handler {
	return queued{q.Handler.WithGroup(name), q.lines}
}

// complaints are lines of the log that the service's user may cause all the time.
type complaints struct{ last time.Time }

// may is true once a second.
func (c *complaints) may() bool {
	if time.Since(c.last) < time.Second {
		return false
	}
	c.last = time.Now()
	return true
}
