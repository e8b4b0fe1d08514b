package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// FindsChildren says whether FindChild works on this system.
const FindsChildren = true

// childPause is how long a child must have been what it is: one that has been forked and runs no program yet
// is still a copy of this process, its environment included.
const childPause = 20 * time.Millisecond

// FindChild returns a child of this process that was started with a variable in its environment. That of a child
// which has other rights than this process cannot be read: it is known by this process's own command line. The
// error wraps os.ErrNotExist if there is none.
func FindChild(variable string) (*Process, error) {
	for pid, start := range childrenWith(variable) {
		time.Sleep(childPause)
		if again, still := childrenWith(variable)[pid]; still && again == start {
			return Open(pid, start)
		}
	}
	return nil, fmt.Errorf("a child with %s in its environment: %w", variable, os.ErrNotExist)
}

// childrenWith returns the start times of such children, by PID. It looks at all processes, of which the kernel has no more than pid_max, and others no
// more than their limits allow; it is for the upgrade of which only the start is known.
func childrenWith(variable string) map[int]uint64 {
	found := make(map[int]uint64)
	paths, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil || !isChild(path) || !hasVariable(path, variable) {
			continue
		}
		if start, err := StartTime(pid); err == nil {
			found[pid] = start
		}
	}
	return found
}

func isChild(path string) bool {
	s, err := readStat(filepath.Base(path))
	return err == nil && s.parent == os.Getpid()
}

func hasVariable(path, variable string) bool {
	data, err := os.ReadFile(filepath.Join(path, "environ"))
	if errors.Is(err, fs.ErrPermission) {
		return hasOurArguments(path)
	}
	prefix := []byte(variable + "=")
	return slices.ContainsFunc(bytes.Split(data, []byte{0}), func(v []byte) bool { return bytes.HasPrefix(v, prefix) })
}

func hasOurArguments(path string) bool {
	theirs, err1 := os.ReadFile(filepath.Join(path, "cmdline"))
	ours, err2 := os.ReadFile("/proc/self/cmdline")
	_, theirs, _ = bytes.Cut(theirs, []byte{0}) // the program may have been named by another path
	_, ours, _ = bytes.Cut(ours, []byte{0})
	return err1 == nil && err2 == nil && bytes.Equal(theirs, ours)
}
