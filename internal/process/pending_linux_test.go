package process_test

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// What has been sent is there, also where the kernel has chosen a thread for it that is asleep.
func TestDeliverSignals(t *testing.T) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1)
	defer signal.Stop(got)
	offMainThread(func() {
		for n := range 500 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
				t.Error(err)
			}
			process.DeliverSignals(syscall.SIGUSR1)
			if len(got) != 1 {
				t.Errorf("signal %d has not arrived", n+1)
				return
			}
			<-got
		}
	})
}

// offMainThread has do run in a thread that is not the process's first, which the kernel prefers for a signal to the
// process (complete_signal in kernel/signal.c).
func offMainThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if unix.Gettid() != os.Getpid() {
			do()
			return
		}
		offMainThread(do) // this thread has this goroutine meanwhile
	}()
	<-done
}
