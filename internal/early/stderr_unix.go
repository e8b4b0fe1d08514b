//go:build unix

package early

import (
	"os"
	"sync"
	"syscall"
)

// DetachedEnv is the variable by which a process knows that another waits until it is ready, on a pipe that is descriptor 3.
const DetachedEnv = "GOZD_DETACHED"

// Where a process that somebody waits for finds the file for its standard error: one started in the background next to the
// pipe, a successor among the files that tableflip passes on, whose order is that of a map (child.go, v1.2.3).
var (
	detachedFiles  = []int{4}
	successorFiles = []int{5, 6, 7}
)

// stderr is where this process's standard error goes until it is ready.
var stderr = captureStderr()

// capture keeps the standard error of a process that is not ready in a file without a name, which whoever started the process
// has too: that one can say with which words it ended. A file, other than a pipe, neither fills up nor kills who writes.
type capture struct {
	mu   sync.Mutex
	file int   // -1 for none
	from int64 // what is before in the file is not this process's
	own  int   // the standard error that this process was started with or has opened since; -1 when that is descriptor 2
}

func captureStderr() *capture {
	c := &capture{file: -1, own: -1}
	switch {
	case os.Getenv(SuccessorEnv) != "" && isPipe(3) && isPipe(4):
		c.begin(successorFiles)
	case os.Getenv(DetachedEnv) == "3" && isPipe(3):
		c.begin(detachedFiles)
	}
	return c
}

// begin looks for the file. The variables may be another process's, and the descriptors anything: a regular file that has no
// name is nobody's but of who passed it on.
func (c *capture) begin(candidates []int) {
	for _, fd := range candidates {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Nlink != 0 {
			continue
		}
		syscall.CloseOnExec(fd)
		c.file, c.from = fd, st.Size
		own, err := syscall.Dup(2)
		if err != nil {
			return
		}
		syscall.CloseOnExec(own)
		if duplicate(fd, 2) != nil {
			_ = syscall.Close(own)
			return
		}
		c.own = own
		return
	}
}

func isPipe(fd int) bool {
	var st syscall.Stat_t
	return syscall.Fstat(fd, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFIFO
}

// StderrFile returns the descriptor of the file that has this process's standard error until it is ready, and stays open
// then; -1 for none.
func StderrFile() int { return stderr.file }

// RestoreStderr gives this process its standard error back, and what it has written so far too if pour: where nobody else
// writes that on. It returns where in the file there is what nobody has written on: processes that this one has started
// still write there.
func RestoreStderr(pour bool) int64 { return stderr.restore(pour) }

func (c *capture) restore(pour bool) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own < 0 {
		return c.size()
	}
	at := c.from
	if pour {
		at = c.pour(at)
	}
	_ = duplicate(c.own, 2) // or it stays where it is
	_ = syscall.Close(c.own)
	c.own = -1
	if !pour {
		return c.size()
	}
	return at
}

func (c *capture) size() int64 {
	var st syscall.Stat_t
	if c.file < 0 || syscall.Fstat(c.file, &st) != nil {
		return 0
	}
	return st.Size
}

// pour copies the file from offset at on.
func (c *capture) pour(at int64) int64 {
	buf := make([]byte, 32<<10)
	for {
		n, err := syscall.Pread(c.file, buf, at)
		if n <= 0 || err != nil {
			return at
		}
		Write(c.own, buf[:n])
		at += int64(n)
	}
}

// SetStderr makes fd's file this process's standard error, at once or for when it is ready.
func SetStderr(fd int) error {
	stderr.mu.Lock()
	defer stderr.mu.Unlock()
	if stderr.own < 0 {
		return duplicate(fd, 2)
	}
	err := duplicate(fd, stderr.own)
	syscall.CloseOnExec(stderr.own)
	return err
}

// Write writes all of p, as far as that is possible. os.File.Write would end the process where nobody reads its standard error.
func Write(fd int, p []byte) {
	for len(p) > 0 {
		n, err := syscall.Write(fd, p)
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		p = p[n:]
	}
}
