package process_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func init() {
	roles["acquire"] = func() {
		lock, err := process.Acquire(os.Getenv(pathEnv))
		must(err)
		lock.Leave()
	}
}

// The configured user puts a link in the place of a directory on the way to what root makes and removes.
func TestLinksOnTheWay(t *testing.T) {
	require.Root(t)
	id := &process.Identity{UID: nobody, GID: nobody}
	for what, do := range map[string]func(path string) error{
		"log":  func(path string) error { return role(t, "open log", path).Run() },
		"lock": func(path string) error { return role(t, "acquire", path).Run() },
		"file": func(path string) error { return id.MakeFile(path, 0o600) },
		"dir":  func(path string) error { return id.MakeDir(path, 0o700) },
		"read": func(path string) error {
			_, err := process.ReadFile(filepath.Join(filepath.Dir(path), "kept"), 1<<10)
			return err
		},
		"remove": func(path string) error { return process.RemoveFiles(filepath.Join(filepath.Dir(path), "kept")) },
		"give":   func(path string) error { return id.TakeDir(filepath.Join(filepath.Dir(path), "empty"), "app") },
	} {
		t.Run(what, func(t *testing.T) {
			home, forAll, roots := t.TempDir(), t.TempDir(), t.TempDir()
			writeFile(t, filepath.Join(roots, "kept"), "root's")
			must(os.Mkdir(filepath.Join(roots, "empty"), 0o755))
			chown(t, nobody, home)
			must(os.Chmod(forAll, os.ModeSticky|0o777)) // where users can move links of root's, too
			for _, dir := range []string{home, forAll} {
				must(os.Symlink(roots, filepath.Join(dir, "run")))
				if err := do(filepath.Join(dir, "run", "x")); err == nil {
					t.Errorf("a link in %s was followed", dir)
				}
			}
			names, err := os.ReadDir(roots)
			must(err)
			if len(names) != 2 {
				t.Errorf("root's directory has %v", names)
			}
			// A link of root's, where none but root writes, is followed.
			must(os.Symlink(roots, filepath.Join(roots, "run")))
			if err := do(filepath.Join(roots, "run", "x")); err != nil && what != "remove" {
				t.Errorf("root's own link: %v", err)
			}
		})
	}
}

// aclVersion and the tags are those of linux/posix_acl_xattr.h and linux/posix_acl.h. noID stands for no user or group.
const (
	aclVersion  = 2
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclMask     = 0x10
	aclOther    = 0x20
	noID        = ^uint32(0)
)

// grant lets the user nobody do something to a file of root's, by an access control list.
func grant(t *testing.T, path string, rights uint16) {
	t.Helper()
	list := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, entry := range []struct {
		tag, rights uint16
		id          uint32
	}{{aclUserObj, 7, noID}, {aclUser, rights, nobody}, {aclGroupObj, 5, noID}, {aclMask, rights, noID}, {aclOther, 5, noID}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.rights)
		list = binary.LittleEndian.AppendUint32(list, entry.id)
	}
	err := unix.Setxattr(path, "system.posix_acl_access", list, 0)
	if errors.Is(err, unix.ENOTSUP) {
		require.Missing(t, "the file system has no access control lists")
	}
	must(err)
}

// TestAccessControlLists has root's files in directories of root's in which an access control list lets another user write.
func TestAccessControlLists(t *testing.T) {
	require.Root(t)
	for _, test := range []struct {
		name   string
		rights uint16
		good   bool
	}{{"read", 5, true}, {"write", 7, false}} {
		t.Run(test.name, func(t *testing.T) {
			dir, roots := t.TempDir(), t.TempDir()
			must(os.Chmod(dir, 0o755))
			grant(t, dir, test.rights)
			info, err := os.Stat(dir)
			must(err)
			if gid := info.Sys().(*syscall.Stat_t).Gid; gid != 0 || info.Mode().Perm() != 0o705|fs.FileMode(test.rights)<<3 {
				t.Fatalf("the directory is group %d's, %v", gid, info.Mode())
			}
			if err := process.OnlyRootWrites(dir); (err == nil) != test.good || err != nil && !errors.Is(err, process.ErrUntrusted) {
				t.Errorf("OnlyRootWrites = %v", err)
			}
			must(os.Symlink(roots, filepath.Join(dir, "run")))
			for _, path := range []string{filepath.Join(dir, "run", "app.log"), filepath.Join(dir, "app.log")} {
				must(errors.Join(os.Symlink("kept", path), os.WriteFile(filepath.Join(filepath.Dir(path), "kept"), nil, 0o600)))
				if err := role(t, "open log", path).Run(); (err == nil) != test.good {
					t.Errorf("the log %s: %v", path, err)
				}
			}
		})
	}
}

// TestLogThatNobodyReads has a FIFO as the log: a start must not wait for a reader.
func TestLogThatNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	must(unix.Mkfifo(path, 0o600))
	open := func() ([]byte, error) {
		cmd := role(t, "open log", path)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		must(cmd.Start())
		defer time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
		err := cmd.Wait()
		return out.Bytes(), err
	}
	if out, err := open(); err == nil || !strings.Contains(string(out), "a FIFO that nobody reads") {
		t.Errorf("without a reader: %v, %s", err, out)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	must(err)
	defer func() { _ = reader.Close() }()
	if out, err := open(); err != nil {
		t.Errorf("with a reader: %v, %s", err, out)
	}
}

// Whoever starts a process chooses what some files of /proc say, and where some links of it lead.
func TestFilesOfProc(t *testing.T) {
	if err := process.OpenControlFile("/proc/self/cmdline"); !errors.Is(err, process.ErrUntrusted) {
		t.Errorf("control file of /proc: %v, want ErrUntrusted", err)
	}
	cmd := exec.Command("sleep", "100")
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if err := process.OnlyRootWrites(fmt.Sprintf("/proc/%d/cwd", cmd.Process.Pid)); !errors.Is(err, process.ErrUntrusted) {
		t.Errorf("OnlyRootWrites of a link of /proc: %v, want ErrUntrusted", err)
	}
}
