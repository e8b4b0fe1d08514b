package process_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func init() {
	roles["drop privileges"] = becomeNobody
	roles["make directories and drop privileges"] = makeAndBecome
}

// dropped is what a daemon is after it has given up its privileges.
type dropped struct {
	Threads int
	Lines   []string // of the status of all threads, each once
	Back    []string // what led back to root
	Other   string   // the error of becoming somebody else
}

// becomeNobody is a daemon with several threads.
func becomeNobody() {
	stop := occupyThreads(4)
	defer stop()
	id := &process.Identity{UID: nobody, GID: nobody, Groups: []int{nobody, nobody + 1}}
	must(id.Become())
	d := dropped{Back: waysBack()}
	d.Threads, d.Lines = threadStatus()
	if err := (&process.Identity{UID: nobody + 1, GID: nobody}).Become(); err != nil {
		d.Other = err.Error()
	}
	must(id.Become()) // again, as an upgraded generation does
	say(d)
}

// occupyThreads starts goroutines with a thread of their own each.
func occupyThreads(n int) (stop func()) {
	var locked, done sync.WaitGroup
	hold := make(chan struct{})
	locked.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread()
			locked.Done()
			<-hold
		})
	}
	locked.Wait()
	return func() { close(hold); done.Wait() }
}

func waysBack() []string {
	var ways []string
	try := func(name string, err error) {
		if err == nil {
			ways = append(ways, name)
		}
	}
	try("setuid", syscall.Setuid(0))
	try("seteuid", syscall.Setreuid(-1, 0))
	try("setresuid", syscall.Setresuid(0, 0, 0))
	try("setgid", syscall.Setgid(0))
	try("setresgid", syscall.Setresgid(0, 0, 0))
	try("setgroups", syscall.Setgroups([]int{0}))
	return ways
}

// threadStatus returns the lines of /proc/self/task/*/status that say who the
// threads are.
func threadStatus() (threads int, lines []string) {
	files, err := filepath.Glob("/proc/self/task/*/status")
	must(err)
	seen := make(map[string]bool)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		threads++
		for line := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(line, ":")
			if slices.Contains([]string{"Uid", "Gid", "Groups", "CapEff", "CapPrm"}, name) {
				seen[name+" "+strings.Join(strings.Fields(value), " ")] = true
			}
		}
	}
	return threads, slices.Sorted(maps.Keys(seen))
}

func TestBecome(t *testing.T) {
	needRoot(t, "become somebody else")
	var got dropped
	output(t, role(t, "drop privileges", ""), &got)
	n := strconv.Itoa(nobody)
	four := strings.TrimSpace(strings.Repeat(n+" ", 4))
	want := []string{
		"CapEff 0000000000000000", "CapPrm 0000000000000000",
		"Gid " + four, fmt.Sprintf("Groups %s %d", n, nobody+1), "Uid " + four,
	}
	if got.Threads < 5 || !slices.Equal(got.Lines, want) {
		t.Errorf("%d threads have %q, want %q", got.Threads, got.Lines, want)
	}
	if got.Back != nil {
		t.Errorf("there is a way back: %v", got.Back)
	}
	if !strings.HasPrefix(got.Other, "set ") || !strings.HasSuffix(got.Other, "operation not permitted") {
		t.Errorf("becoming somebody else: %q", got.Other)
	}
}

// makeAndBecome makes directories with nobody's rights, and becomes nobody.
func makeAndBecome() {
	id := &process.Identity{UID: nobody, GID: nobody, Groups: []int{nobody}}
	for i := range 5 {
		must(id.MakeDir(filepath.Join(os.Getenv(pathEnv), strconv.Itoa(i)), 0o750))
	}
	must(id.Become())
	var d dropped
	d.Threads, d.Lines = threadStatus()
	say(d)
}

// A thread that has had nobody's rights for a moment is in nobody's way when all threads become him.
func TestBecomeAfterMakeDir(t *testing.T) {
	needRoot(t, "become somebody else")
	for range 20 {
		dir := t.TempDir()
		must(os.Chmod(filepath.Dir(dir), 0o755))
		must(os.Chown(dir, nobody, nobody))
		var got dropped
		output(t, role(t, "make directories and drop privileges", dir), &got)
		if len(got.Lines) != 5 || got.Lines[0] != "CapEff 0000000000000000" {
			t.Fatalf("the threads have %q", got.Lines)
		}
		var st unix.Stat_t
		must(unix.Stat(filepath.Join(dir, "4"), &st))
		if st.Uid != nobody || st.Gid != nobody || st.Mode&0o777 != 0o750 {
			t.Errorf("a directory is user %d's, group %d's, with mode %o", st.Uid, st.Gid, st.Mode)
		}
	}
}
