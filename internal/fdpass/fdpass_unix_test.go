//go:build unix

package fdpass_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// pair returns the descriptors of the two ends of a pair.
func pair(t *testing.T, kind int) (one, other int) {
	t.Helper()
	var fds [2]int
	a, b, err := fdpass.Pair(kind, "pair")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range []*os.File{a, b} {
		t.Cleanup(func() { f.Close() })
		if fds[i], err = fdpass.Number(f); err != nil {
			t.Fatal(err)
		}
		wantClosedOnExec(t, fds[i])
	}
	return fds[0], fds[1]
}

func wantClosedOnExec(t *testing.T, fd int) {
	t.Helper()
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor %d: flags %#x, %v, want FD_CLOEXEC", fd, flags, err)
	}
}

func TestSendAndRecv(t *testing.T) {
	from, to := pair(t, syscall.SOCK_DGRAM)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := fdpass.Number(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		fds := []int{fd, fd, fd}[:n]
		if err := fdpass.Send(from, []byte("text"), fds); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 8)
		got, received, err := fdpass.Recv(to, data, 2)
		if err != nil || string(data[:got]) != "text" || len(received) != n {
			t.Errorf("Recv = %q, %v, %v, want %d descriptors", data[:got], received, err, n)
		}
		for _, fd := range received {
			wantClosedOnExec(t, fd)
		}
		fdpass.Close(received)
		for _, fd := range received {
			if err := unix.Close(fd); !errors.Is(err, unix.EBADF) {
				t.Errorf("descriptor %d is still open: %v", fd, err)
			}
		}
	}
	if _, fds, err := fdpass.Recv(to, make([]byte, 8), 2); !errors.Is(err, unix.EAGAIN) || fds != nil {
		t.Errorf("Recv = %v, %v where there is nothing, want EAGAIN", fds, err)
	}
}

func TestDup(t *testing.T) {
	one, _ := pair(t, syscall.SOCK_STREAM)
	dup, err := fdpass.DupNumber(one)
	if err != nil || dup <= 2 {
		t.Fatalf("DupNumber = %d, %v, want one above the standard streams", dup, err)
	}
	wantClosedOnExec(t, dup)
	if err := unix.Close(dup); err != nil {
		t.Error(err)
	}
	if dup, err := fdpass.DupNumber(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("DupNumber(-1) = %d, %v, want EBADF", dup, err)
	}
}

// The kernel has not made it, so it names no descriptors of ours.
func TestParseZeros(t *testing.T) {
	if pid, fds, err := fdpass.Parse(make([]byte, unix.CmsgSpace(4))); err == nil {
		t.Errorf("Parse of zeros = %d, %v", pid, fds)
	}
}
