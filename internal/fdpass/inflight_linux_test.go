package fdpass_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(m, map[string]func(){"many": reexec.OrFail(sendBesideMany)})
}

// TestSendBesideMany has an ordinary user send descriptors while as many as may be are on their way, as where connections move
// at the time of the next upgrade.
func TestSendBesideMany(t *testing.T) {
	cmd := reexec.Ordinary(t, "many", 65532) // there is no limit for root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func sendBesideMany() error {
	const limit = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	var ends [4]int
	for i := 0; i < len(ends); i += 2 {
		one, other, err := fdpass.Pair(syscall.SOCK_DGRAM, "pair")
		if err != nil {
			return err
		}
		defer one.Close()
		defer other.Close()
		ends[i], err = fdpass.Number(one)
		if err != nil {
			return err
		}
		if ends[i+1], err = fdpass.Number(other); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		err := unix.Sendmsg(ends[0], []byte{0}, unix.UnixRights(0, 0, 0, 0, 0, 0, 0, 0, 0, 0), nil, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.ETOOMANYREFS) {
			break
		}
		if err != nil {
			return fmt.Errorf("message %d: %w, want ETOOMANYREFS", n, err)
		}
	}
	time.AfterFunc(50*time.Millisecond, func() { // Send is waiting, or has failed
		for {
			_, fds, err := fdpass.Recv(ends[1], make([]byte, 1), 10)
			fdpass.Close(fds)
			if err != nil {
				return
			}
		}
	})
	if err := fdpass.Send(ends[2], []byte("text"), []int{0}); err != nil {
		return fmt.Errorf("beside others that were on their way: %w", err)
	}
	_, fds, err := fdpass.Recv(ends[3], make([]byte, 4), 1)
	fdpass.Close(fds)
	if len(fds) != 1 {
		return fmt.Errorf("%d descriptors have come, %w", len(fds), err)
	}
	return nil
}
