//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// ownerName is the name, or else the number, of the user that a file belongs to.
func ownerName(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return userName(int(st.Uid))
}

// userName is the name of a user, or else his number.
func userName(uid int) string {
	text := strconv.Itoa(uid)
	if u, err := user.LookupId(text); err == nil {
		return u.Username
	}
	return text
}

// authorOf returns the number of the user who could have written a file that root has read: root, where nobody else could, or
// else the file's owner.
func authorOf(file string) (uid int, err error) {
	if os.Geteuid() != 0 {
		return os.Geteuid(), nil
	}
	others := process.OnlyRootWrites(file)
	if others == nil {
		return 0, nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		return int(st.Uid), nil
	}
	return 0, others
}

// noGroup is the group of a user who has no account: nobody's.
const noGroup = 65534

// asOwner returns what follows the file at path with the rights of the user who says that it is there: he could name any
// file of root's, a FIFO or a device, and have root open it. It returns nil for whoever has no more rights than that user.
//
// The process is that user's, to trace too. So it has neither root's terminal, where he could type (TIOCSTI), nor root's
// variables and directory, nor, by followFile, a descriptor or a keyring of root's.
func asOwner(ctx context.Context, path string, lines, owner int) (*exec.Cmd, error) {
	if os.Geteuid() != 0 || owner <= 0 {
		return nil, nil
	}
	gid, err := groupOf(owner)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, err
	}
	// tail would wait for a file that it cannot read.
	const script = `test -r "$2" || exit "$3"; exec tail -n "$1" -F -- "$2"`
	cmd := exec.CommandContext(ctx, "sh", "-c", script, "sh", strconv.Itoa(lines), path, strconv.Itoa(cannotRead))
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: uint32(owner), Gid: gid}, //nolint:gosec // it is a user's number
	}
	return cmd, nil
}

// groupOf returns the number of a user's own group.
func groupOf(uid int) (uint32, error) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if errors.As(err, new(user.UnknownUserIdError)) {
		return noGroup, nil
	}
	if err != nil {
		return 0, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("user %s: group %q: %w", u.Username, u.Gid, err)
	}
	return uint32(gid), nil
}
