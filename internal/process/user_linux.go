package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// userOf returns the real and the effective user of a process (proc_pid_status(5)).
func userOf(pid int) (real, effective int, err error) {
	// /proc shows threads too. A pidfd cannot name one, so a signal could meet whoever has its number later.
	group, err := statusField(pid, "Tgid")
	if err != nil {
		return 0, 0, err
	}
	if len(group) != 1 || group[0] != pid {
		return 0, 0, fmt.Errorf("%d is a thread, and no process", pid)
	}
	ids, err := statusField(pid, "Uid")
	if err != nil {
		return 0, 0, err
	}
	if len(ids) < 2 {
		return 0, 0, fmt.Errorf("/proc/%d/status: %d user IDs", pid, len(ids))
	}
	return ids[0], ids[1], nil
}

// PIDInside returns the PID that a process has in its own PID namespace, by that which it has here.
func PIDInside(pid int) (int, error) {
	ids, err := statusField(pid, "NSpid")
	if err != nil || len(ids) == 0 {
		return pid, err
	}
	return ids[len(ids)-1], nil
}

// statusField returns the numbers of a field of /proc/PID/status; none where it has no such field.
func statusField(pid int, name string) ([]int, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ids, err := parseStatus(data, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", path, name, err)
	}
	return ids, nil
}

func parseStatus(data []byte, name string) ([]int, error) {
	// The first field is the process's name, in which line feeds are escaped.
	for line := range bytes.Lines(data) {
		value, ok := bytes.CutPrefix(line, []byte(name+":"))
		if !ok {
			continue
		}
		var ids []int
		for text := range bytes.FieldsSeq(value) {
			id, err := strconv.Atoi(string(text))
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	return nil, nil
}
