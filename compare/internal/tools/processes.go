//go:build linux

package tools

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans has processes whose parent has ended become children of this one:
// most tools leave some at each upgrade.
func adoptOrphans() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// launch starts a program that belongs to the daemon; what it says goes to its log.
func (d *Daemon) launch(files []*os.File, name string, args ...string) (int, error) {
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = d.dir, log, log, files
	// What a program writes of its own accord, such as Caddy its configuration, stays here.
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+d.dir, "XDG_DATA_HOME="+d.dir, "XDG_RUNTIME_DIR="+d.dir)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", name, err)
	}
	pid := cmd.Process.Pid
	return pid, cmd.Process.Release() // gone reaps it
}

// log returns the end of what the daemon has said.
func (d *Daemon) log() string {
	said, _ := os.ReadFile(filepath.Join(d.dir, "log")) // there may be none
	if said = bytes.TrimSpace(said); len(said) == 0 {
		return ""
	}
	return "; its log ends with: " + string(said[max(0, len(said)-1000):])
}

// stat is what /proc says of a process.
type stat struct {
	pid, parent int
	state       string
}

// processes returns all processes below this one that are alive; the dead ones
// that are its own children it takes leave of.
func processes() []stat {
	var below []stat
	for queue := children(os.Getpid()); len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		queue = append(queue, children(pid)...)
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // gone meanwhile
		}
		if s, ok := parseStat(data); ok && s.state != "X" && !gone(pid) {
			below = append(below, s)
		}
	}
	return below
}

// children are those of all threads of a process. To look through all of /proc would
// take long on a machine with many processes.
func children(pid int) []int {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is right
	var all []int
	for _, path := range paths {
		data, _ := os.ReadFile(path) // the thread may be gone
		for field := range strings.FieldsSeq(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// parseStat reads /proc/PID/stat; the name in it may contain anything.
func parseStat(data []byte) (stat, bool) {
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return stat{}, false
	}
	pid, _, _ := strings.Cut(string(data), " ")
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 2 {
		return stat{}, false
	}
	p, err1 := strconv.Atoi(pid)
	parent, err2 := strconv.Atoi(fields[1])
	return stat{p, parent, fields[0]}, err1 == nil && err2 == nil
}

// gone reports whether a process below this one has ended.
func gone(pid int) bool {
	reaped, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	if reaped == pid {
		return true
	}
	if !errors.Is(err, syscall.ECHILD) {
		return false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	s, ok := parseStat(data)
	return ok && s.state == "Z"
}

// endAll kills every process below this one, each by its PID.
func endAll() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := processes()
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes do not end", len(left))
		}
		for _, s := range left {
			_ = syscall.Kill(s.pid, syscall.SIGKILL) // it may be gone
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// PIDs returns the processes of the tool that are replaced by an upgrade.
func (d *Daemon) PIDs() []int { return without(append(d.stays(), d.others()...)) }

// Old returns those of them that the next upgrade replaces: not what an earlier one
// has left.
func (d *Daemon) Old() []int {
	var old []int
	for _, pid := range d.PIDs() {
		if !d.replaced[pid] {
			old = append(old, pid)
			d.replaced[pid] = true
		}
	}
	return old
}

// without returns the processes below this one that are not in the list.
func without(list []int) []int {
	var pids []int
	for _, s := range processes() {
		if !slices.Contains(list, s.pid) {
			pids = append(pids, s.pid)
		}
	}
	return pids
}

// AllGone reports whether all of them have ended.
func AllGone(pids []int) bool {
	for _, pid := range pids {
		if !gone(pid) {
			return false
		}
	}
	return true
}

// Memory returns how many bytes the tool's processes take together, what they share
// counted once (Pss).
func (d *Daemon) Memory() int {
	sum := 0
	for _, pid := range without(d.others()) {
		sum += pss(pid)
	}
	return sum
}

func pss(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0 // gone meanwhile
	}
	_, rest, _ := bytes.Cut(data, []byte("\nPss:"))
	value, _, _ := strings.Cut(strings.TrimSpace(string(rest)), " kB")
	kB, err := strconv.Atoi(value)
	if err != nil {
		return 0
	}
	return kB << 10
}

// Files returns how many descriptors a process has, 0 if it is gone.
func Files(pid int) int {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	info, err := os.Stat(dir)
	if err != nil || gone(pid) {
		return 0
	}
	if info.Size() > 0 { // since Linux 6.2
		return int(info.Size())
	}
	names, _ := os.ReadDir(dir) // it may be gone meanwhile
	return len(names)
}

// Sockets returns the names of a process's sockets, by which those are found again that it shares with others.
func Sockets(pid int) map[string]bool {
	all := make(map[string]bool)
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, _ := os.ReadDir(dir) // it may be gone meanwhile
	for _, name := range names {
		if link, err := os.Readlink(filepath.Join(dir, name.Name())); err == nil && strings.HasPrefix(link, "socket:") {
			all[link] = true
		}
	}
	return all
}
