//go:build unix

package process_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// oddities are what somebody can put in the place of a file. Each must be refused at once, whoever asks.
var oddities = map[string]func(path string) error{
	"link to itself":   func(path string) error { return os.Symlink(path, path) },
	"link to a device": func(path string) error { return os.Symlink("/dev/zero", path) },
	"FIFO":             func(path string) error { return syscall.Mkfifo(path, 0o644) },
	"directory":        func(path string) error { return os.Mkdir(path, 0o755) },
	"link to another daemon's": func(path string) error {
		to := path + ".other"
		return errors.Join(os.WriteFile(to, []byte("{}"), 0o600), os.Symlink(to, path))
	},
	"much too long": func(path string) error {
		return errors.Join(os.WriteFile(path, []byte("1"), 0o600), os.Truncate(path, 1<<40))
	},
}

func TestOdditiesInThePlaceOfFiles(t *testing.T) {
	for name, put := range oddities {
		t.Run(name, func(t *testing.T) {
			path := pidfileIn(t)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := process.ReadPID(path); err == nil {
				t.Error("ReadPID: no error")
			}
			state := pidfileIn(t)
			acquire(t, state)
			if err := put(process.StatePath(state)); err != nil {
				t.Fatal(err)
			}
			if r, err := process.Find(state); r != nil || err == nil {
				t.Errorf("Find by such a state file = %+v, %v", r, err)
			}
			lock := pidfileIn(t)
			if err := put(process.LockPath(lock)); err != nil {
				t.Fatal(err)
			}
			if r, err := process.Find(lock); r != nil || err == nil {
				t.Errorf("Find by such a lock = %+v, %v", r, err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A lock that others can open they can take.
func TestLockIsNobodyElses(t *testing.T) {
	path := pidfileIn(t)
	if err := os.WriteFile(process.LockPath(path), nil, 0o644); err != nil { // of an older version
		t.Fatal(err)
	}
	acquire(t, path)
	info, err := os.Stat(process.LockPath(path))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock file is %v, %v, want 0600", info.Mode(), err)
	}
}

// What stands in the lock's place is neither written to nor changed.
func TestLockChangesNothingOfOthers(t *testing.T) {
	path := pidfileIn(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, []byte("text"), 0o604), os.Link(other, process.LockPath(path))); err != nil {
		t.Fatal(err)
	}
	acquire(t, path)
	info, err := os.Stat(other)
	if err != nil || info.Mode() != 0o604 || contents(t, other) != "text" {
		t.Errorf("the other file is %v now, %v", info.Mode(), err)
	}
}

// TestOverwriteChangesNothingOfOthers has a full disk, and a link in the place of the state file.
func TestOverwriteChangesNothingOfOthers(t *testing.T) {
	path := pidfileIn(t)
	other := filepath.Join(t.TempDir(), "other")
	const text = `{"pid":1}                                                                                              `
	for name, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
		if err := errors.Join(os.WriteFile(other, []byte(text), 0o600), link(other, process.StatePath(path))); err != nil {
			t.Fatal(err)
		}
		if err := process.Overwrite(process.StatePath(path), []byte("{}")); err == nil || contents(t, other) != text {
			t.Errorf("%s link: %v, and the other file holds %q", name, err, contents(t, other))
		}
		if err := os.Remove(process.StatePath(path)); err != nil {
			t.Fatal(err)
		}
	}
}

// chown gives files to a user.
func chown(t *testing.T, uid int, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Lchown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForgedState is root, who looks at what a service's user has written.
func TestForgedState(t *testing.T) {
	needRoot(t, "be believed by nobody")
	roots := sleeper(t)
	start, err := process.StartTime(roots.PID)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name             string
		dir, lock, state int // their owners
		trusted          bool
		says             string
	}{
		{"root's in root's directory", 0, 0, 0, true, ""},
		{"root's process named by a user", nobody, nobody, nobody, false, "is user 0's"},
		{"root's process named by a user in root's directory", 0, nobody, nobody, false, "is user 0's"},
		{"root's daemon, another's state file", 0, 0, nobody, false, "its state file user"},
		{"root's files in another's directory", nobody, 0, 0, false, "is user"},
		{"a user's daemon, a third one's state file", nobody, nobody, nobody + 1, false, "its state file user"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := pidfileIn(t)
			acquire(t, path)
			write(t, path, &process.State{PID: roots.PID, StartTime: start})
			chown(t, test.lock, process.LockPath(path))
			chown(t, test.state, process.StatePath(path))
			chown(t, test.dir, filepath.Dir(path))
			r, err := process.Find(path)
			if test.trusted {
				if err != nil {
					t.Fatal(err)
				}
				r.Close()
				return
			}
			if r != nil || !errors.Is(err, process.ErrUntrusted) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Find = %+v, %v, want ErrUntrusted and %q", r, err, test.says)
			}
		})
	}
}

// In a directory such as /tmp nobody touches root's files, and who has some of root's in a directory of his own moves them there.
func TestMovedIntoAnOpenDirectory(t *testing.T) {
	needRoot(t, "be believed by nobody")
	roots := sleeper(t)
	start, err := process.StartTime(roots.PID)
	if err != nil {
		t.Fatal(err)
	}
	path := pidfileIn(t)
	acquire(t, path)
	write(t, path, &process.State{PID: roots.PID, StartTime: start})
	moved := filepath.Join(filepath.Dir(path), "moved.pid")
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky), os.Symlink(filepath.Dir(path), link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Join(link, filepath.Base(path))} {
		r, err := process.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	of := strings.Replace(contents(t, process.StatePath(path)), `"pidfile"`, `"before"`, 1)
	if err := os.WriteFile(process.StatePath(path), []byte(of), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := process.Find(path); !errors.Is(err, process.ErrUntrusted) || !strings.Contains(err.Error(), "older version") {
		t.Errorf("Find by the state file of an older version = %+v, %v, want ErrUntrusted", r, err)
	}
	write(t, path, &process.State{PID: roots.PID, StartTime: start})
	if err := errors.Join(os.Rename(process.LockPath(path), process.LockPath(moved)), os.Rename(process.StatePath(path), process.StatePath(moved))); err != nil {
		t.Fatal(err)
	}
	if r, err := process.Find(moved); !errors.Is(err, process.ErrUntrusted) {
		t.Errorf("Find = %+v, %v, want ErrUntrusted", r, err)
	}
}

// TestFilesThatBlock has the files that root reads for a start, in a directory of the service's user.
func TestFilesThatBlock(t *testing.T) {
	dir := t.TempDir()
	fifo, good := filepath.Join(dir, "fifo"), filepath.Join(dir, "good")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.WriteFile(good, []byte("text"), 0o600), os.Symlink(good, good+".link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/zero", dir} {
		if data, err := process.ReadFile(path, 10); err == nil {
			t.Errorf("ReadFile(%s) = %q", path, data)
		}
	}
	if data, err := process.ReadFile(good+".link", 4); err != nil || string(data) != "text" {
		t.Errorf("a link to a file: %q, %v", data, err)
	}
	if _, err := process.ReadFile(good, 3); err == nil {
		t.Error("a file that is too long: no error")
	}
}

// A directory that only root can write to does not help below one that anybody can.
func TestWhoCouldExchangeRootsFiles(t *testing.T) {
	needRoot(t, "be believed by nobody")
	top := t.TempDir()
	in := func(names ...string) string { return filepath.Join(append([]string{top}, names...)...) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"good", "theirs", "open", "sticky", "group"} {
		must(os.MkdirAll(in(dir, "sub"), 0o755))
	}
	must(os.Chmod(in("open"), 0o777))
	must(os.Chmod(in("sticky"), 0o777|os.ModeSticky))
	must(os.Chmod(in("group"), 0o775))
	must(os.Lchown(in("group"), 0, nobody))
	chown(t, nobody, in("theirs"))
	must(os.Symlink(in("good", "sub"), in("link")))
	must(os.Symlink(in("good", "sub"), in("theirs", "link")))
	must(os.Symlink(in("theirs", "link"), in("good", "link")))
	for _, dir := range []string{"good", "sticky", "sticky/sub"} {
		must(os.WriteFile(in(dir, "file"), nil, 0o644))
	}
	for name, good := range map[string]bool{
		in("sticky"): false, in("sticky", "file"): false, in("sticky", "sub", "file"): true, in("good", "file"): true,
		in("good", "sub"): true, in("sticky", "sub"): true, in("link"): true,
		in("theirs", "sub"): false, in("open", "sub"): false, in("group", "sub"): false, in("theirs", "link"): false, in("good", "link"): false,
	} {
		if err := process.OnlyRootWrites(name); (err == nil) != good || err != nil && !errors.Is(err, process.ErrUntrusted) {
			t.Errorf("%s: %v, want that it is trusted: %v", name, err, good)
		}
	}
}
