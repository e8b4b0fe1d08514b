package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Children are the PIDs of a process's children, those left out that say nothing to it at their end: Go's runtime clones one, which ends at
// once, before it starts the first process, to see whether it can have a pidfd (checkClonePidfd in os/pidfd_linux.go).
func Children(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is good
	for _, list := range lists {
		text, _ := os.ReadFile(list) // of a thread that has ended
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil && exitSignal(child) == syscall.SIGCHLD {
				all = append(all, child)
			}
		}
	}
	return all
}

// exitSignal is what a process's parent gets at its end; 0 for nothing, or if the process is gone.
func exitSignal(pid int) syscall.Signal {
	const field = 38 - 3 // of those behind the name; see proc_pid_stat(5)
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) <= field {
		return 0
	}
	n, _ := strconv.Atoi(fields[field])
	return syscall.Signal(n)
}
