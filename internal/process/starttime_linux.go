package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// StartTime returns when the process began, in clock ticks since the machine's
// start (field 22 of /proc/PID/stat, proc(5)). With the PID it names a process
// for good: the number alone may belong to a stranger by now.
func StartTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) && !seesProcesses() {
		return 0, ErrCannotSee
	}
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses, and may hold any byte.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const startTime = 22 - 3 // the first of fields is the third of the line
	if len(fields) <= startTime {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	if string(fields[0]) == "Z" {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone) // dead, only not waited for
	}
	return strconv.ParseUint(string(fields[startTime]), 10, 64)
}

// seesProcesses tells a process that is gone from a /proc that is not there.
func seesProcesses() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}
