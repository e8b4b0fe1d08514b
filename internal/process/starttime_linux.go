package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// StartTime returns when the process began, in clock ticks since the machine's
// start. With the PID it names a process for good: the number alone may belong to
// a stranger by now.
func StartTime(pid int) (uint64, error) {
	s, err := statOf(pid)
	if err == nil && s.state == "Z" {
		err = fmt.Errorf("process %d: %w", pid, os.ErrProcessDone) // dead, only not waited for
	}
	if err != nil {
		return 0, err
	}
	return s.start, nil
}

// Began is StartTime also of a process that has ended, and that its parent has not collected yet.
func Began(pid int) (uint64, error) {
	s, err := statOf(pid)
	return s.start, err
}

// statOf is readStat, and tells a process that is gone from a /proc that is not there.
func statOf(pid int) (stat, error) {
	s, err := readStat(strconv.Itoa(pid))
	if errors.Is(err, fs.ErrNotExist) && !seesProcesses() {
		err = ErrCannotSee
	}
	return s, err
}

// stat is what is used of /proc/PID/stat (proc(5)).
type stat struct {
	state  string
	parent int
	flags  uint64
	start  uint64
}

// IsEnding reports whether the kernel has begun to end a process that is there still: it writes its core, or frees its memory. Only after that does it close what
// the process has open, and tell its parent.
func IsEnding(pid int) bool {
	const exiting = 0x4 // PF_EXITING in linux/sched.h
	if s, err := readStat(strconv.Itoa(pid)); err == nil && s.flags&exiting != 0 {
		return true
	}
	dumping, err := statusField(pid, "CoreDumping") // proc_pid_status(5), since Linux 4.15
	return err == nil && slices.Equal(dumping, []int{1})
}

func readStat(pid string) (stat, error) {
	path := "/proc/" + pid + "/stat"
	data, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	s, err := parseStat(data)
	if err != nil {
		return stat{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func parseStat(data []byte) (s stat, err error) {
	// The second field is the name in parentheses, and may hold any byte.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const flags, startTime = 9 - 3, 22 - 3 // the first of fields is the third of the line
	if len(fields) <= startTime {
		return stat{}, fmt.Errorf("only %d fields after the name", len(fields))
	}
	s.state = string(fields[0])
	if s.parent, err = strconv.Atoi(string(fields[1])); err != nil {
		return stat{}, err
	}
	if s.flags, err = strconv.ParseUint(string(fields[flags]), 10, 64); err != nil {
		return stat{}, err
	}
	s.start, err = strconv.ParseUint(string(fields[startTime]), 10, 64)
	return s, err
}

// seesProcesses tells a process that is gone from a /proc that is not there.
func seesProcesses() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}
