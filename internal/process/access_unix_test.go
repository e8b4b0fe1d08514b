//go:build unix

package process_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// The bits of owner, group and others count for whom they are, and no others.
func TestMayWrite(t *testing.T) {
	const uid, gid = 12345, 12346
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	owner, group := os.Geteuid(), os.Getegid()
	tests := []struct {
		name string
		path string
		mode fs.FileMode
		id   process.Identity
		may  bool
	}{
		{"owner", file, 0o200, process.Identity{UID: max(owner, 1), GID: gid}, owner != 0},
		{"group", file, 0o020, process.Identity{UID: uid, GID: group}, true},
		{"another of its groups", file, 0o020, process.Identity{UID: uid, GID: gid, Groups: []int{group}}, true},
		{"others", file, 0o002, process.Identity{UID: uid, GID: gid}, true},
		{"the group's bits are not for others", file, 0o770, process.Identity{UID: uid, GID: gid}, false},
		{"others' bits are not for the group", file, 0o007, process.Identity{UID: uid, GID: group}, false},
		{"directory", dir, 0o703, process.Identity{UID: uid, GID: gid}, true},
		{"directory that cannot be searched", dir, 0o702, process.Identity{UID: uid, GID: gid}, false},
		{"root", file, 0o000, process.Identity{}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.Chmod(test.path, test.mode); err != nil {
				t.Fatal(err)
			}
			err := process.MayWrite(test.path, &test.id)
			if (err == nil) != test.may || err != nil && !errors.Is(err, fs.ErrPermission) {
				t.Errorf("MayWrite = %v, want that it may: %t", err, test.may)
			}
		})
	}
}

func TestMayWriteOfThisProcess(t *testing.T) {
	dir := t.TempDir()
	if err := process.MayWrite(dir, nil); err != nil {
		t.Error(err)
	}
	if err := process.MayWrite(filepath.Join(dir, "missing"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("MayWrite of nothing = %v, want fs.ErrNotExist", err)
	}
}
