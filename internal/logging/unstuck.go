package logging

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// patience is how long a line of the log holds up whoever writes it: a pipe may be full, and its reader stopped.
	patience = time.Second

	// maxLines are kept for a reader that stands still.
	maxLines = 1000
)

// Unstuck returns a writer to w for [New]. A line that w does not take within a second is written later, if there is a later.
func Unstuck(w io.Writer) io.Writer { return &unstuck{w: w} }

// unstuck writes to w, in a goroutine that is there as long as there is something to write, and waits for it; but not for a w that stands still, or
// nothing that is logged could be done any more, such as to stop.
type unstuck struct {
	w       io.Writer
	missing func(lines int) []byte // a line that says how many are missing; set by New

	mu      sync.Mutex    // guards what follows
	lines   [][]byte      // that are still to be written
	dropped int           // lines, since there were too many
	written chan struct{} // closed when there are none left; nil if nobody writes
	stuck   bool          // somebody has waited for that in vain
}

// Write implements io.Writer. It reports no error: there is nobody who could do something about it.
func (u *unstuck) Write(line []byte) (int, error) {
	written, stuck := u.add(bytes.Clone(line))
	if stuck {
		return len(line), nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
		u.mu.Lock()
		u.stuck = u.stuck || u.written == written
		u.mu.Unlock()
	}
	return len(line), nil
}

func (u *unstuck) add(line []byte) (written <-chan struct{}, stuck bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.lines) < maxLines {
		u.lines = append(u.lines, line)
	} else {
		u.dropped++
	}
	if u.written == nil {
		u.written = make(chan struct{})
		go u.writeAll()
	}
	return u.written, u.stuck
}

func (u *unstuck) writeAll() {
	for line := u.next(); line != nil; line = u.next() {
		_, _ = u.w.Write(line)
	}
}

// next is the next line, or nil when all have been written.
func (u *unstuck) next() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.lines) > 0 {
		line := u.lines[0]
		u.lines = u.lines[1:]
		return line
	}
	if n := u.dropped; n > 0 {
		u.dropped = 0
		return u.missing(n)
	}
	close(u.written)
	u.written, u.stuck = nil, false
	return nil
}
