//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Freeze stops a process (SIGSTOP), and returns when it does nothing any more: the kernel stops each thread by itself, and
// one that runs or is woken goes on for a moment. Where there is no /proc it does not wait.
func Freeze(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	for deadline := time.Now().Add(30 * time.Second); !isFrozen(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d has not stopped", pid)
		}
	}
	return nil
}

// isFrozen reports whether none of a process's threads runs. One that has ended is no thread any more.
func isFrozen(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is well-formed
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(text), ") T ") {
			return false
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return false
		}
	}
	return true
}
