package upgrade_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forkAndDie ends this process in an instant, and leaves one that it has forked, with all that it had open. That runs no other program, as a C library's may not.
func forkAndDie() (forked int) {
	nap := unix.Timespec{Sec: 60}
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 { // the runtime has no threads here, and nothing may be called that needs it
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0)
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) }) // it answers before
	return int(pid)
}

// What a successor has forked keeps nobody from serving again when that one dies.
func TestParentStandsByBehindAForkedProcess(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.upgradeFrom(t, 1, 2)
	d.born = d.born[:1]
	p, err := os.FindProcess(d.ask(t, "fork and die").Successor)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Kill(); err != nil {
			t.Errorf("the forked process: %v", err) // it has ended, and shows nothing
		}
	}()
	if fate := d.fateOf(t, 1); !strings.HasSuffix(fate, ": it died after it had taken over: signal: killed") {
		t.Errorf("the parent hears %q", fate)
	}
	d.upgradeFrom(t, 1, 3)
}
