package faults

import (
	"encoding/gob"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// awaitNames waits until the parent has written the names of the files that a new process inherits, which tableflip does
// in a goroutine of its own, and nobody is told when. The process has stopped before it reads them.
func awaitNames(t *testing.T, pid int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/fd/4", pid)) // tableflip's pipe (parent.go, v1.2.3)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for deadline := time.Now().Add(cellPatience); ; time.Sleep(time.Millisecond) {
		err := peekNames(f)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d has not been told what it inherits after %v: %v", pid, cellPatience, err)
		}
	}
}

// peekNames reads what is in a pipe and leaves it there.
func peekNames(pipe *os.File) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = unix.Tee(int(pipe.Fd()), int(w.Fd()), 1<<16, unix.SPLICE_F_NONBLOCK)
	w.Close()
	if err != nil {
		return err
	}
	var names [][]string
	return gob.NewDecoder(r).Decode(&names)
}
