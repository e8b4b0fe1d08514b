package upgrade

import (
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// fileStderr is the name under which tableflip passes it on.
const fileStderr = "gozd-stderr"

// stderrInterval is how often what is in the file is written on.
const stderrInterval = time.Second

// stderrFile is the file that successors have for their standard error until they are ready. It is one file without
// a name for the whole life of the daemon, like the bootstrap channel; see internal/early. Processes that a generation has started before it
// was ready write there for as long as they live.
type stderrFile struct {
	file *os.File // nil for none

	mu     sync.Mutex    // guards copier
	copier *stderrCopier // nil where a successor copies, or nobody
}

// open takes the file that this process has from who started it, or makes one. Without one, what successors say is in the
// log only.
func (s *stderrFile) open() {
	if fd := early.StderrFile(); fd >= 0 {
		s.file = os.NewFile(uintptr(fd), fileStderr)
	} else if f, err := process.Scratch(); err == nil {
		s.file = f
	}
}

// copyFrom begins to copy from an offset on.
func (s *stderrFile) copyFrom(from int64) {
	if s.file == nil {
		return
	}
	c := &stderrCopier{file: s.file, stop: make(chan struct{}), flush: make(chan chan<- struct{}), at: from}
	s.mu.Lock()
	s.copier = c
	s.mu.Unlock()
	go c.run()
}

// leave leaves the copying to a successor that has taken over.
func (s *stderrFile) leave() {
	s.mu.Lock()
	c := s.copier
	s.copier = nil
	s.mu.Unlock()
	if c != nil {
		close(c.stop)
	}
}

// size is where a successor begins that is started now.
func (s *stderrFile) size() int64 {
	if s.file == nil {
		return 0
	}
	info, err := s.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// since returns the end of what a successor has written that began there and has ended, and has it written on. It waits for that, but not for a
// standard error that nobody reads.
func (s *stderrFile) since(from int64) string {
	if s.file == nil {
		return ""
	}
	s.mu.Lock()
	c := s.copier
	s.mu.Unlock()
	if c != nil {
		c.await(stderrInterval)
	}
	return process.Tail(s.file, from, report.MaxStderr)
}

// stderrCopier writes what successors, and such processes, write to their standard error on to this process's. The generation
// that serves does so.
type stderrCopier struct {
	file  *os.File
	stop  chan struct{}
	flush chan chan<- struct{} // asks to copy at once, and to close what is sent then
	at    int64                // what is before has been written on; touched by run only
}

func (c *stderrCopier) run() {
	tick := time.NewTicker(stderrInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.copy()
		case done := <-c.flush:
			c.copy()
			close(done)
		case <-c.stop:
			c.copy()
			return
		}
	}
}

// await returns when all has been written on that is there, or the time is over.
func (c *stderrCopier) await(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done := make(chan struct{})
	select {
	case c.flush <- done:
	case <-timer.C:
		return
	}
	select {
	case <-done:
	case <-timer.C:
	}
}

func (c *stderrCopier) copy() {
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
