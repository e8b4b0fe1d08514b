package upgrade

import (
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// fileStderr is the name of the file that successors have for their standard error until they are ready. It is one file without
// a name for the whole life of the daemon, like the bootstrap channel; see internal/early. Processes that a generation has started before it
// was ready write there for as long as they live.
const fileStderr = "gozd-stderr"

// stderrInterval is how often what is in the file is written on.
const stderrInterval = time.Second

// stderrCopier writes what successors, and such processes, write to their standard error on to this process's. The generation
// that serves does so.
type stderrCopier struct {
	file *os.File
	stop chan struct{}

	mu sync.Mutex // guards at
	at int64      // what is before has been written on
}

// openStderr takes the file that this process has from who started it, or makes one. Without one, what successors say is in the
// log only.
func (u *Upgrader) openStderr() {
	if fd := early.StderrFile(); fd >= 0 {
		u.stderr = os.NewFile(uintptr(fd), fileStderr)
	} else if f, err := process.Scratch(); err == nil {
		u.stderr = f
	}
}

// copyStderr begins to copy from an offset on.
func (u *Upgrader) copyStderr(from int64) {
	if u.stderr == nil {
		return
	}
	c := &stderrCopier{file: u.stderr, stop: make(chan struct{}), at: from}
	u.mu.Lock()
	u.copier = c
	u.mu.Unlock()
	go c.run()
}

// leaveStderr leaves the copying to a successor that has taken over.
func (u *Upgrader) leaveStderr() {
	u.mu.Lock()
	c := u.copier
	u.copier = nil
	u.mu.Unlock()
	if c != nil {
		close(c.stop)
	}
}

func (c *stderrCopier) run() {
	tick := time.NewTicker(stderrInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.copy()
		case <-c.stop:
			c.copy()
			return
		}
	}
}

func (c *stderrCopier) copy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	buf := make([]byte, 4<<10)
	for {
		n, _ := c.file.ReadAt(buf, c.at) // its end is an error, too
		if n == 0 {
			break
		}
		early.Write(2, buf[:n])
		c.at += int64(n)
	}
	if free := c.at - report.MaxStderr; free > 0 {
		process.FreeScratch(c.file, free)
	}
}

// stderrSize is where a successor begins that is started now.
func (u *Upgrader) stderrSize() int64 {
	if u.stderr == nil {
		return 0
	}
	info, err := u.stderr.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// stderrSince returns the end of what a successor has written that began there and has ended, and writes it on.
func (u *Upgrader) stderrSince(from int64) string {
	if u.stderr == nil {
		return ""
	}
	u.mu.Lock()
	c := u.copier
	u.mu.Unlock()
	if c != nil {
		c.copy()
	}
	return process.Tail(u.stderr, from, report.MaxStderr)
}
