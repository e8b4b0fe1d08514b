package upgrade

import (
	"os"
	"slices"
	"sync"
	"syscall"
)

// commandLine is with what successors are started. The zero value is os.Args.
//
// tableflip starts os.Args (child.go, v1.2.3), and a program may have changed that. Where only its first element is another,
// it becomes the path for good. Else os.Args is args while a process is being started: a program that
// has changed it must not look at it then.
type commandLine struct{ args []string }

func (c *commandLine) set(args []string) {
	c.args = slices.Clone(args)
	if slices.Equal(os.Args[1:], args[1:]) {
		os.Args[0] = args[0]
	}
}

// lend makes os.Args what successors are started with. giveBack may be called more than once.
func (c *commandLine) lend() (giveBack func()) {
	if c.args == nil || slices.Equal(os.Args, c.args) {
		return func() {}
	}
	program := os.Args
	os.Args = slices.Clone(c.args)
	return sync.OnceFunc(func() {
		// tableflip has looked before it forked, which held this lock: the race detector sees no order in what another process says.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		os.Args = program
	})
}

// lends is watch, and gives back what has been lent when the process runs.
func lends(watch Watcher, giveBack func()) Watcher {
	told := watch.Started
	watch.Started = func(pid int, startTime uint64) {
		giveBack()
		if told != nil {
			told(pid, startTime)
		}
	}
	return watch
}

// binary is what a successor is started from.
func (c *commandLine) binary() string {
	if c.args == nil {
		return os.Args[0]
	}
	return c.args[0]
}
