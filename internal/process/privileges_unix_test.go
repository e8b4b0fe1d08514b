//go:build unix

package process_test

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func init() {
	roles["limit"] = limitFiles
	roles["runtime directory of a stranger"] = makeRuntimeDirs
}

// nobody is a user without an account, and so without groups.
const nobody = 54321

func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can " + why)
	}
}

// self returns the user that runs the tests and his own group.
func self(t *testing.T) (u *user.User, g *user.Group, groups []int) {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Skip("no account: ", err)
	}
	g, err = user.LookupGroupId(u.Gid)
	if err != nil {
		t.Skip("no group: ", err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		t.Skip("no groups: ", err)
	}
	for _, id := range ids {
		groups = append(groups, number(t, id))
	}
	return u, g, groups
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLookupIdentity(t *testing.T) {
	u, g, groups := self(t)
	uid, gid := number(t, u.Uid), number(t, u.Gid)
	own := &process.Identity{UID: uid, GID: gid, Groups: groups}
	alone := strconv.Itoa(nobody)
	tests := []struct {
		user, group string
		want        *process.Identity
	}{
		{"", "", nil},
		{u.Username, "", own},
		{u.Uid, "", own},
		{u.Username, g.Name, own},
		{u.Uid, u.Gid, own},
		{"", g.Name, &process.Identity{UID: os.Geteuid(), GID: gid, Groups: []int{gid}}},
		{alone, alone, &process.Identity{UID: nobody, GID: nobody, Groups: []int{nobody}}},
		{alone, "54322", &process.Identity{UID: nobody, GID: 54322, Groups: []int{54322}}},
		{u.Username, alone, &process.Identity{UID: uid, GID: nobody, Groups: append(slices.Clip(groups), nobody)}},
	}
	for _, test := range tests {
		got, err := process.LookupIdentity(test.user, test.group)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("LookupIdentity(%q, %q) = %+v, %v, want %+v", test.user, test.group, got, err, test.want)
		}
	}
}

func TestLookupIdentityFails(t *testing.T) {
	tests := []struct{ user, group, says string }{
		{"no-such-user", "", `user "no-such-user": `},
		{"-1", "", `user "-1": `},
		{"", "no-such-group", `group "no-such-group": `},
		{"", "-1", `group "-1": `},
		{strconv.Itoa(nobody), "no-such-group", `group "no-such-group": `},
	}
	for _, test := range tests {
		got, err := process.LookupIdentity(test.user, test.group)
		if got != nil || err == nil || !strings.HasPrefix(err.Error(), test.says) {
			t.Errorf("LookupIdentity(%q, %q) = %+v, %v, want %s", test.user, test.group, got, err, test.says)
		}
	}
}

func TestLookupUserAndGroup(t *testing.T) {
	u, g, _ := self(t)
	for _, name := range []string{u.Username, u.Uid} {
		if uid, err := process.LookupUser(name); err != nil || strconv.Itoa(uid) != u.Uid {
			t.Errorf("LookupUser(%q) = %d, %v, want %s", name, uid, err, u.Uid)
		}
	}
	for _, name := range []string{g.Name, g.Gid} {
		if gid, err := process.LookupGroup(name); err != nil || strconv.Itoa(gid) != g.Gid {
			t.Errorf("LookupGroup(%q) = %d, %v, want %s", name, gid, err, g.Gid)
		}
	}
	if uid, err := process.LookupUser("no-such-user"); err == nil {
		t.Errorf("LookupUser of an unknown user = %d", uid)
	}
	if gid, err := process.LookupGroup("no-such-group"); err == nil {
		t.Errorf("LookupGroup of an unknown group = %d", gid)
	}
}

// A number that the system takes for another one, as the C library takes 4294967296 for root, is no user and no group.
func TestNumbersThatAreNoUsers(t *testing.T) {
	for _, number := range []string{
		"4294967296", "4294967297", "18446744073709551616", "4294967295", "-1", "+0", "00", "0x0", " 0", "0 ", "1e3", "",
	} {
		if uid, err := process.LookupUser(number); err == nil {
			t.Errorf("user %q is %d", number, uid)
		}
		if gid, err := process.LookupGroup(number); err == nil {
			t.Errorf("group %q is %d", number, gid)
		}
	}
}

// The group that has the number of a user without an account has nothing to do with that user.
func TestUserWithoutAnAccount(t *testing.T) {
	const number = "4294967294"
	if id, err := process.LookupIdentity(number, ""); err == nil || !strings.Contains(err.Error(), "say which, by group") {
		t.Errorf("without a group: %+v, %v", id, err)
	}
	id, err := process.LookupIdentity(number, "12345")
	if err != nil || id.GID != 12345 || !slices.Equal(id.Groups, []int{12345}) {
		t.Errorf("with a group: %+v, %v, want that one alone", id, err)
	}
}

func TestBecomeOneself(t *testing.T) {
	id := &process.Identity{UID: os.Geteuid(), GID: os.Getegid()}
	if err := id.Become(); err != nil {
		t.Errorf("Become = %v", err)
	}
}

func TestBecomeWithoutPrivileges(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may become anybody")
	}
	id := &process.Identity{UID: os.Geteuid() + 1, GID: os.Getegid()}
	if err := id.Become(); err == nil {
		t.Error("Become succeeded")
	}
}

// limits is what a process sees of its limit on open files.
type limits struct {
	Before, After syscall.Rlimit
	Error         string
}

func limitFiles() {
	var l limits
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l.Before)
	n, err := strconv.ParseUint(os.Getenv(pathEnv), 10, 64)
	must(err)
	if err := process.SetMaxFiles(n); err != nil {
		l.Error = err.Error()
	}
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l.After)
	say(l)
}

func maxFiles(t *testing.T, n any) limits {
	t.Helper()
	var l limits
	output(t, role(t, "limit", fmt.Sprint(n)), &l)
	return l
}

func TestSetMaxFiles(t *testing.T) {
	if l := maxFiles(t, 0); l.After != l.Before || l.Error != "" {
		t.Errorf("SetMaxFiles(0): %+v, want no change", l)
	}
	if l := maxFiles(t, 64); l.After.Cur != 64 || l.After.Max != l.Before.Max || l.Error != "" {
		t.Errorf("SetMaxFiles(64): %+v, want only the soft limit lowered", l)
	}
	const huge int64 = 1 << 62
	if l := maxFiles(t, huge); l.After != l.Before || !strings.HasPrefix(l.Error, "max_files 4611686018427387904: ") {
		t.Errorf("SetMaxFiles(1<<62): %+v, want an error and no change", l)
	}
}

func TestSetMaxFilesRaisesTheHardLimit(t *testing.T) {
	needRoot(t, "raise a hard limit")
	before := maxFiles(t, 0).Before
	n := before.Max + 1
	if l := maxFiles(t, n); l.Error == "" && (l.After.Cur != n || l.After.Max != n) {
		t.Errorf("SetMaxFiles(%d): %+v, want both limits raised", n, l)
	} else if l.Error != "" {
		t.Skip("not allowed here: ", l.Error)
	}
}

// makeRuntimeDirs is a user that finds a directory of his own, of root's and of
// a stranger's where his PID file is to be.
func makeRuntimeDirs() {
	must((&process.Identity{UID: nobody, GID: nobody, Groups: []int{nobody}}).Become())
	said := make(map[string]string)
	for _, dir := range []string{"mine", "roots", "strangers"} {
		if err := process.MakeRuntimeDir(filepath.Join(os.Getenv(pathEnv), dir, "app.pid")); err != nil {
			said[dir] = err.Error()
		}
	}
	say(said)
}

func TestMakeRuntimeDirOfAStranger(t *testing.T) {
	needRoot(t, "give a directory away")
	top := t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil { // TempDir's parent is closed to other users
		t.Fatal(err)
	}
	for dir, uid := range map[string]int{"mine": nobody, "roots": 0, "strangers": nobody + 1} {
		path := filepath.Join(top, dir)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	var said map[string]string
	output(t, role(t, "runtime directory of a stranger", top), &said)
	path := filepath.Join(top, "strangers")
	want := map[string]string{
		"strangers": "PID file " + path + "/app.pid: directory " + path + " belongs to user 54322: permission denied",
	}
	if !reflect.DeepEqual(said, want) {
		t.Errorf("MakeRuntimeDir says %q, want %q", said, want)
	}
}
