package supervise

import (
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Watched is a hold on a process that another one collects.
type Watched struct{ w *watched }

// Watch takes hold of a process that lives.
func Watch(pid int) (Watched, error) {
	start, err := process.StartTime(pid)
	if err != nil {
		return Watched{}, err
	}
	w, err := openProcess(pid, start)
	return Watched{w}, err
}

// ExitStatus waits until the process has ended, and returns its status; nil if that cannot be known.
func (w Watched) ExitStatus() *syscall.WaitStatus {
	ends := make(chan end, 1)
	w.w.awaitEnd(0, ends, nil)
	_ = w.w.file.Close()
	return (<-ends).status
}
