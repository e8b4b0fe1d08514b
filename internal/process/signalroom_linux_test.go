package process_test

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func init() {
	roles["drop privileges without room for signals"] = becomeWithoutRoom
	roles["have a thread that differs"] = differInOneThread
}

// crowded is what a daemon is after it could not tell its threads by signals, or could.
type crowded struct {
	dropped
	Error string

	Before, After unix.Rlimit
}

// What bounds the signals that can be queued.
const (
	softLimit = "the soft limit"
	hardLimit = "the hard limit"
	forGood   = "the hard limit, which this process may not raise"
)

// becomeWithoutRoom is a daemon for whose threads no signal can be queued.
func becomeWithoutRoom() {
	stop := occupyThreads(4)
	defer stop()
	must(unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: 30, Max: 30})) // one that waits for a thread uses a processor for ever
	var limit unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_SIGPENDING, &limit))
	limit.Cur = 0
	if os.Getenv(pathEnv) != softLimit {
		limit.Max = 0
	}
	must(unix.Setrlimit(unix.RLIMIT_SIGPENDING, &limit))
	runtime.LockOSThread()
	if os.Getenv(pathEnv) == forGood {
		c := capabilities()
		c[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		must(unix.Capset(&header, &c[0]))
	}
	d := crowded{Before: limit}
	if err := (&process.Identity{UID: nobody, GID: nobody, Groups: []int{nobody}}).Become(); err != nil {
		d.Error = err.Error()
	}
	must(unix.Getrlimit(unix.RLIMIT_SIGPENDING, &d.After))
	d.Threads, d.Lines = threadStatus()
	say(d)
}

func capabilities() (c [2]unix.CapUserData) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	must(unix.Capget(&header, &c[0]))
	return c
}

// No thread stays root's because no signal could be queued for it.
func TestBecomeWithoutRoomForSignals(t *testing.T) {
	needRoot(t, "become somebody else")
	for _, bound := range []string{softLimit, hardLimit} {
		t.Run(bound, func(t *testing.T) {
			if bound == hardLimit && capabilities()[0].Effective&(1<<unix.CAP_SYS_RESOURCE) == 0 {
				t.Skip("this root may not raise a hard limit")
			}
			var got crowded
			output(t, role(t, "drop privileges without room for signals", bound), &got)
			if got.Error != "" || got.Threads < 5 || len(got.Lines) != 5 || !strings.HasPrefix(got.Lines[4], "Uid "+strconv.Itoa(nobody)) {
				t.Errorf("%q: %d threads have %q, want each to be nobody's", got.Error, got.Threads, got.Lines)
			}
			if got.After != got.Before {
				t.Errorf("the limit is %+v afterwards, and was %+v", got.After, got.Before)
			}
		})
	}
}

// Where that cannot be helped, nothing has been changed in any thread.
func TestBecomeWhereThereCanBeNoRoom(t *testing.T) {
	needRoot(t, "become somebody else")
	var got crowded
	output(t, role(t, "drop privileges without room for signals", forGood), &got)
	if !strings.Contains(got.Error, "the limit of queued signals (ulimit -i, LimitSIGPENDING=) is 0") {
		t.Errorf("Become = %q", got.Error)
	}
	if slices.ContainsFunc(got.Lines, func(line string) bool { return strings.Contains(line, strconv.Itoa(nobody)) }) {
		t.Errorf("the threads have %q, want none of them to be nobody's", got.Lines)
	}
}

// differInOneThread is a process of root's, one thread of which is not.
func differInOneThread() {
	id := &process.Identity{}
	groups, err := os.Getgroups()
	must(err)
	id.Groups = groups
	said := make([]string, 2)
	note := func(i int) {
		if err := id.CheckThreads(); err != nil {
			said[i] = err.Error()
		}
	}
	note(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good
		number := uintptr(unix.SYS_SETRESGID)
		if os.Getenv(pathEnv) == "Uid" {
			number = unix.SYS_SETRESUID
		}
		if _, _, errno := unix.RawSyscall(number, nobody, nobody, nobody); errno != 0 {
			panic(errno)
		}
		note(1)
	}()
	<-done
	say(said)
}

func TestThreadThatDiffers(t *testing.T) {
	needRoot(t, "become somebody else")
	for _, field := range []string{"Uid", "Gid"} {
		var said []string
		output(t, role(t, "have a thread that differs", field), &said)
		if len(said) != 2 || said[0] != "" || !strings.Contains(said[1], "a thread has not changed: "+field+" "+strconv.Itoa(nobody)) {
			t.Errorf("%s: before and after: %q", field, said)
		}
	}
}
