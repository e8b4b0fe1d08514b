//go:build unix

package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func init() { roles["logger"] = writeLog }

// writeLog is a daemon whose log file is rotated. It ends in a panic.
func writeLog() {
	path := os.Getenv(pathEnv)
	openLog(path)
	fmt.Println("stdout before")
	must(os.Rename(path, path+".1"))
	fmt.Println("stdout after the rename")
	openLog(path)
	fmt.Println("stdout after reopening")
	fmt.Fprintln(os.Stderr, "stderr after reopening")
	if err := process.OpenLog(filepath.Join(path, "missing"), nil); err == nil {
		fmt.Println("OpenLog of a path below a file succeeded")
	}
	fmt.Println("stdout after a failure")
	child := exec.Command("echo", "a child's stdout")
	child.Stdout = os.Stdout
	must(child.Run())
	panic("the crash")
}

func openLog(path string) { must(process.OpenLog(path, nil)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestOpenLogAndReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	writeFile(t, path, "from the last start\n")
	out, err := role(t, "logger", path).CombinedOutput()
	if err == nil || len(out) > 0 {
		t.Errorf("the daemon ended with %v and wrote %q past its log", err, out)
	}
	if old, want := contents(t, path+".1"), "from the last start\nstdout before\nstdout after the rename\n"; old != want {
		t.Errorf("the rotated file holds %q, want %q", old, want)
	}
	got := contents(t, path)
	want := "stdout after reopening\nstderr after reopening\nstdout after a failure\na child's stdout\npanic: the crash\n"
	if !strings.HasPrefix(got, want) {
		t.Errorf("the new file holds %q, want %q and a stack", got, want)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v, want at most -rw-r-----", info.Mode())
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOpenLogFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "app.log")
	if err := process.OpenLog(path, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("OpenLog = %v, want an error that names %s", err, path)
	}
}

func init() {
	roles["open log"] = func() { openLog(os.Getenv(pathEnv)) }
	roles["open nobody's log"] = func() { must(process.OpenLog(os.Getenv(pathEnv), &process.Identity{UID: nobody, GID: nobody})) }
}

// A file of root's in the directory of the user that the daemon becomes may have been moved there by that user.
func TestRootsFileAsAUsersLog(t *testing.T) {
	needRoot(t, "be misled")
	path := filepath.Join(t.TempDir(), "app.log")
	writeFile(t, path, "root's")
	chown(t, nobody, filepath.Dir(path))
	if out, err := role(t, "open nobody's log", path).CombinedOutput(); err == nil || contents(t, path) != "root's" {
		t.Errorf("it was opened: %s, and holds %q", out, contents(t, path))
	}
	chown(t, nobody, path)
	if out, err := role(t, "open nobody's log", path).CombinedOutput(); err != nil {
		t.Errorf("the user's own file: %v: %s", err, out)
	}
}

// Root opens its log where another user can put links: none is followed, and no file with two names is written to.
func TestRootsLogInAnothersDirectory(t *testing.T) {
	needRoot(t, "be misled")
	other := filepath.Join(t.TempDir(), "other")
	writeFile(t, other, "root's")
	for name, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
		path := filepath.Join(t.TempDir(), "app.log")
		if err := link(other, path); err != nil {
			t.Fatal(err)
		}
		if name == "symbolic" {
			chown(t, 0, path) // as if root's own had been moved there
		}
		chown(t, nobody, filepath.Dir(path))
		if out, err := role(t, "open log", path).CombinedOutput(); err == nil {
			t.Errorf("%s link: it was opened: %s", name, out)
		}
		if got := contents(t, other); got != "root's" {
			t.Errorf("%s link: the other file holds %q", name, got)
		}
	}
}

// A lock file of root's where the user that the daemon becomes can move files is not given to that user: it could be any of root's.
func TestRootsFileAsTheLock(t *testing.T) {
	needRoot(t, "be misled")
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	path := process.LockPath(pidfile)
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	roots, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer roots.Close()
	before, _ := roots.Stat()
	chown(t, nobody, filepath.Dir(path))
	lock, err := process.Acquire(pidfile)
	if err == nil {
		err = lock.GiveTo(&process.Identity{UID: nobody, GID: nobody})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Leave()
	after, err := roots.Stat()
	if err != nil || after.Mode() != before.Mode() || after.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("root's file is %v now, %v", after, err)
	}
	if now, err := os.Stat(path); err != nil || os.SameFile(now, after) || now.Sys().(*syscall.Stat_t).Uid != nobody {
		t.Errorf("the lock is %v, %v", now, err)
	}
}
