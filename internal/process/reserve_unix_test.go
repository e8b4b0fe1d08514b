//go:build unix

package process_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// lowerLimit sets this process's limit for the test.
func lowerLimit(t *testing.T) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = 80 // of another type on some systems
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) })
}

// takeAll opens files until there are no descriptors left, and returns how many it
// was.
func takeAll(t *testing.T) int {
	t.Helper()
	for n := 0; ; n++ {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return n
		}
		t.Cleanup(func() { _ = f.Close() })
	}
}

func TestReserve(t *testing.T) {
	lowerLimit(t)
	var r process.Reserve
	defer r.Release()
	if process.Scarce(20) {
		t.Error("scarce before anything is taken")
	}
	r.Fill(10)
	r.Fill(10) // as many again would be too many
	takeAll(t)
	if !process.Scarce(1) {
		t.Error("not scarce when all are taken")
	}
	r.Release()
	if !process.Scarce(11) {
		t.Error("11 are not scarce with 10 in reserve")
	}
	if process.Scarce(5) {
		t.Error("5 are scarce with 10 in reserve")
	}
	if n := takeAll(t); n != 10 {
		t.Errorf("the reserve had %d, want 10", n)
	}
}

// Under a low limit as much is left for clients as is held.
func TestReserveTakesHalfAtMost(t *testing.T) {
	lowerLimit(t)
	var r process.Reserve
	defer r.Release()
	r.Fill(1000)
	left := takeAll(t)
	r.Release()
	if n := takeAll(t); n == 0 || n > left {
		t.Errorf("the reserve had %d, and has left %d", n, left)
	}
}

// A process that cannot be looked at for want of a descriptor is not one that has ended.
func TestOpenWithoutDescriptors(t *testing.T) {
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	lowerLimit(t)
	takeAll(t)
	p, err := process.Open(os.Getpid(), start)
	if err == nil {
		p.Close()
	}
	if errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Open = %v", err)
	}
}
