package upgrade

import (
	"os"
	"slices"
	"sync"
)

// SetArguments says with which command line successors are started, the binary's absolute path first. Without it they are
// started with os.Args.
//
// tableflip starts os.Args (child.go, v1.2.3), and a program may have changed that. Where only its first element is another,
// it becomes the path for good. Else os.Args is args while a process is being started: a program that
// has changed it must not look at it then.
func (u *Upgrader) SetArguments(args []string) {
	u.args = slices.Clone(args)
	if slices.Equal(os.Args[1:], args[1:]) {
		os.Args[0] = args[0]
	}
}

// lendArguments makes os.Args what successors are started with. giveBack may be called more than once.
func (u *Upgrader) lendArguments() (giveBack func()) {
	if u.args == nil || slices.Equal(os.Args, u.args) {
		return func() {}
	}
	program := os.Args
	os.Args = slices.Clone(u.args)
	return sync.OnceFunc(func() { os.Args = program })
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
func (u *Upgrader) binary() string {
	if u.args == nil {
		return os.Args[0]
	}
	return u.args[0]
}
