package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// cellPatience bounds what is waited for in a cell. It is only met when something is
// broken.
const cellPatience = 30 * time.Second

// processesWith returns the living processes that were started with a variable in
// their environment. As its value is the cell's alone, these are all of its daemon,
// also those that nobody has heard of.
func processesWith(t *testing.T, variable string) []int {
	t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range environs {
		data, err := os.ReadFile(path) // of a dead process it is empty, or an error
		if err != nil || !bytes.Contains(data, []byte(variable)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// processState is the letter of /proc/PID/stat, or 0 if there is no such process.
func processState(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	return after[0]
}

// awaitGone waits until a process has ended, and collects its status where it is our
// orphan.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(cellPatience); ; time.Sleep(time.Millisecond) {
		daemon.ReapProcess(pid)
		if s := processState(pid); s == 0 || s == 'Z' {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d has not ended after %v", pid, cellPatience)
		}
	}
}

// signalTo signals a process that this test has started, and no other: it is there, and
// nobody but us or its living parent can collect it.
func signalTo(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %v to %d: %v", sig, pid, err)
	}
}

// portsOf returns the ports of the clients whose connections a process has open.
func portsOf(t *testing.T, pid int) map[int]bool {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	remote := remotePorts(t)
	ports := make(map[int]bool)
	for _, link := range links {
		to, err := os.Readlink(link)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just been closed
		}
		if port, ok := remote[to]; ok && err == nil {
			ports[port] = true
		}
	}
	return ports
}

// remotePorts returns the ports at the other ends of all TCP connections, by the names that
// their sockets have in /proc/PID/fd.
func remotePorts(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	ports := make(map[string]int)
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		_, hex, ok := strings.Cut(f[2], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		if ok && err == nil && port != 0 {
			ports["socket:["+f[9]+"]"] = int(port)
		}
	}
	return ports
}

// limitFiles sets a running process's limit of open descriptors, and returns what it was.
func limitFiles(t *testing.T, pid int, n uint64) (before uint64) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	limit := old
	limit.Cur = n // the hard limit could not be raised again
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	return old.Cur
}
