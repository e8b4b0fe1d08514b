//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// ownerName is the name, or else the number, of the user that a file belongs to.
func ownerName(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return userName(int(st.Uid))
}

// isOursOrRoots reports whether a file is this user's or root's.
func isOursOrRoots(e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}

// userName is the name of a user, or else his number.
func userName(uid int) string {
	text := strconv.Itoa(uid)
	if u, err := user.LookupId(text); err == nil {
		return u.Username
	}
	return text
}

// authorOf returns the number of the user who could have written a configuration that root has read: root, where nobody else could, or
// else the owner of the file that was read.
func authorOf(conf *config.Config) (uid int, err error) {
	if os.Geteuid() != 0 {
		return os.Geteuid(), nil
	}
	if st, ok := conf.Source.Sys().(*syscall.Stat_t); ok && st.Uid != 0 { // the path may lead to another file by now
		return int(st.Uid), nil
	}
	return 0, process.OnlyRootWrites(conf.File)
}

// noGroup is the group of a user who has no account: nobody's.
const noGroup = 65534

// groupOf returns the number of a user's own group.
func groupOf(uid int) (int, error) {
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
	return int(gid), nil
}

// moverOf is the user who could put another file at a path, or lead from there to one of root's; -1 for nobody.
func moverOf(path string) (int, error) {
	p, err := safepath.Walk(path, true)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	return p.Mover, nil
}
