package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// threadWait is how long a thread that is not as it should be has to end: one that ends is not told of a change, and may be seen for an
// instant.
const threadWait = time.Second

// checkThreads returns an error where a thread of this process is not id's, as the kernel says in /proc. Without one nothing is known.
func (id *Identity) checkThreads() error {
	for deadline := time.Now().Add(threadWait); ; time.Sleep(time.Millisecond) {
		err := id.checkThreadsOnce()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func (id *Identity) checkThreadsOnce() error {
	threads, err := filepath.Glob("/proc/self/task/[0-9]*/status")
	if err != nil {
		return err
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return err
		}
		if err := id.checkThread(string(status)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// checkThread looks at a thread's status (proc_pid_status(5)).
func (id *Identity) checkThread(status string) error {
	uid, gid := strconv.Itoa(id.UID), strconv.Itoa(id.GID)
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		ok := true
		switch name {
		case "Uid":
			ok = slices.Equal(slices.Compact(slices.Clone(fields)), []string{uid}) // real, effective, saved, for files
		case "Gid":
			ok = slices.Equal(slices.Compact(slices.Clone(fields)), []string{gid})
		case "Groups":
			ok = id.hasGroups(fields)
		case "CapInh", "CapPrm", "CapEff":
			ok = id.UID == 0 || strings.Trim(strings.Join(fields, ""), "0") == ""
		}
		if !ok {
			return fmt.Errorf("a thread has not changed: %s %s", name, strings.Join(fields, " "))
		}
	}
	return nil
}

// hasGroups compares supplementary groups, in whichever order.
func (id *Identity) hasGroups(fields []string) bool {
	var want []string
	for _, g := range id.Groups {
		want = append(want, strconv.Itoa(g))
	}
	return slices.Equal(sortedSet(fields), sortedSet(want))
}

func sortedSet(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }
