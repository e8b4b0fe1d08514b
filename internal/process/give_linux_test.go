package process_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

func init() {
	roles["umask"] = makeUnderUmask
	roles["log moved"] = moveLog
}

var stranger = &process.Identity{UID: nobody, GID: nobody + 1}

// access is the mode and the owner of a file, "" if there is none.
func access(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
}

// makeUnderUmask is a process with a umask that takes all from others.
func makeUnderUmask() {
	dir := os.Getenv(pathEnv)
	process.SetUmask(0o077)
	in := func(name string) string { return filepath.Join(dir, name) }
	must(stranger.MakeFile(in("file"), 0o644))
	must(stranger.MakeDir(in("dir"), 0o755))
	must((*process.Identity)(nil).MakeDir(in("own"), 0o751))
	must((*process.Identity)(nil).MakeFile(in("none"), 0o644))
	must(os.WriteFile(in("program's"), nil, 0o666))
	l, err := process.Acquire(in("app.pid"))
	must(err)
	defer l.Leave()
	said := make(map[string]string)
	for _, name := range []string{"file", "dir", "own", "none", "program's", "app.pid.lock"} {
		said[name] = access(in(name))
	}
	say(said)
}

func TestMakeForAnIdentity(t *testing.T) {
	needRoot(t, "give files away")
	var got map[string]string
	output(t, role(t, "umask", t.TempDir()), &got)
	theirs := fmt.Sprintf(" %d:%d", stranger.UID, stranger.GID)
	for name, want := range map[string]string{
		"file": "-rw-r--r--" + theirs, "dir": "drwxr-xr-x" + theirs, "own": "drwxr-x--x 0:0",
		"none": "", "program's": "-rw------- 0:0", "app.pid.lock": "-rw------- 0:0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestWhatIsThereIsLeftAlone has an identity given what others have already.
func TestWhatIsThereIsLeftAlone(t *testing.T) {
	needRoot(t, "give files away")
	dir := t.TempDir()
	file, link, sub := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "sub")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link), os.Mkdir(sub, 0o700)); err != nil {
		t.Fatal(err)
	}
	before := []string{access(file), access(link), access(sub)}
	if err := errors.Join(stranger.MakeFile(file, 0o644), stranger.MakeFile(link, 0o644), stranger.MakeDir(sub, 0o755)); err != nil {
		t.Error(err)
	}
	for i, path := range []string{file, link, sub} {
		if now := access(path); now != before[i] {
			t.Errorf("%s is %s and was %s", path, now, before[i])
		}
	}
	if err := stranger.MakeDir(filepath.Join(dir, "missing", "sub"), 0o755); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("MakeDir below a missing directory = %v, want fs.ErrNotExist", err)
	}
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("app.pid.%d", i)
	}
	return names
}

func TestTakeDir(t *testing.T) {
	needRoot(t, "give directories away")
	top := t.TempDir()
	link := filepath.Join(top, "link")
	if err := os.Symlink(top, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		files []string
		mode  os.FileMode
		uid   int
		given bool
	}{
		{"empty", nil, 0o755, 0, true},
		{"ours", []string{"app.pid", "app.pid.lock", ".app.pid.new.7", "app.pid.12.sock"}, 0o755, 0, true},
		{"its own already", []string{"other"}, 0o755, stranger.UID, true},
		{"with others' files", []string{"app.pid", "sshd"}, 0o755, 0, false},
		{"sticky", nil, 0o777 | os.ModeSticky, 0, false},
		{"open to all", nil, 0o777, 0, false},
		{"another user's", nil, 0o755, nobody + 5, false},
		{"ours, of the user before", []string{"app.pid.lock"}, 0o755, nobody + 5, true},
		{"more than is looked at", manyNames(safepath.MaxNames), 0o755, nobody + 5, false},
	} {
		dir := filepath.Join(top, test.name)
		err := os.Mkdir(dir, 0o755)
		for _, name := range test.files {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
		if err = errors.Join(err, os.Chmod(dir, test.mode), os.Chown(dir, test.uid, -1)); err != nil {
			t.Fatal(err)
		}
		before := access(dir)
		err = stranger.TakeDir(dir, "app.pid")
		given := strings.Contains(access(dir), fmt.Sprintf(" %d:", stranger.UID))
		if given != test.given || (err == nil) != test.given || err != nil && access(dir) != before {
			t.Errorf("%s: %v, and it was %s and is %s", test.name, err, before, access(dir))
		}
	}
	before := access(top)
	if err := stranger.TakeDir(link, "app.pid"); !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) {
		t.Errorf("TakeDir of a link = %v, want an error", err)
	}
	if now := access(top); now != before {
		t.Errorf("what the link points to is %s and was %s", now, before)
	}
}

// moveLog looks for its log before and after it is moved.
func moveLog() {
	path := os.Getenv(pathEnv)
	said, err := os.OpenFile(path+".said", os.O_WRONLY|os.O_CREATE, 0o600)
	must(err)
	openLog(path)
	note := func() { fmt.Fprint(said, process.LogMoved(path), " ") }
	note()
	must(os.Rename(path, path+".1"))
	note() // it is gone
	must(os.WriteFile(path, nil, 0o600))
	note() // it is another
	openLog(path)
	note()
}

func TestLogMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	if out, err := role(t, "log moved", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := contents(t, path+".said"), "false true true false "; got != want {
		t.Errorf("LogMoved = %s, want %s", got, want)
	}
}
