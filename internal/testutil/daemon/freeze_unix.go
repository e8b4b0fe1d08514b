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
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		states, frozen := threads(pid)
		switch {
		case frozen:
			return nil
		case time.Now().After(deadline): // Z is one that has ended
			return fmt.Errorf("process %d has not stopped: its threads are %s", pid, strings.Join(states, ", "))
		}
	}
}

// threads returns the numbers and states of a process's threads, and whether none of them runs. One that has ended is no thread any more.
func threads(pid int) (states []string, frozen bool) {
	frozen = true
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is well-formed
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		frozen = frozen && err == nil && strings.HasPrefix(rest, "T ")
		states = append(states, fmt.Sprintf("%s %.1s", filepath.Base(filepath.Dir(path)), rest))
	}
	return states, frozen
}
