//go:build unix

package process

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Identity is whom a daemon becomes after its sockets are bound.
type Identity struct {
	UID, GID int
	Groups   []int // supplementary groups
}

// LookupIdentity resolves names or numbers. An empty group is the user's own; an
// empty user keeps the present one. It returns nil when both are empty.
func LookupIdentity(userName, groupName string) (*Identity, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	id := &Identity{UID: unix.Geteuid(), GID: unix.Getegid()}
	if userName != "" {
		if err := id.setUser(userName); err != nil {
			return nil, err
		}
		if id.GID == noGroup && groupName == "" {
			return nil, fmt.Errorf("user %q has no account on this system, and so no group: say which, by group", userName)
		}
	}
	if groupName != "" {
		gid, err := LookupGroup(groupName)
		if err != nil {
			return nil, err
		}
		id.GID = gid
		if !slices.Contains(id.Groups, gid) {
			id.Groups = append(id.Groups, gid)
		}
	}
	return id, nil
}

func (id *Identity) setUser(name string) error {
	u, err := lookupUser(name)
	if err != nil {
		return err
	}
	id.UID, id.GID = u.uid, u.gid
	id.Groups = u.groups
	return nil
}

// noGroup is that of a number without an account. The group of that number is whoever's it is: 27 is sudo on Debian.
const noGroup = -1

type account struct {
	uid, gid int
	groups   []int
}

// lookupUser finds a user by name or number. A number needs no account.
func lookupUser(name string) (account, error) {
	u, err := user.Lookup(name)
	if err == nil {
		return accountOf(u)
	}
	uid, numErr := parseID(name)
	if numErr != nil {
		return account{}, fmt.Errorf("user %q: %w", name, err)
	}
	u, err = user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return account{uid: uid, gid: noGroup}, nil //nolint:nilerr // it has no account
	}
	a, err := accountOf(u)
	if err == nil && a.uid != uid {
		err = fmt.Errorf("user %q: the system says that it is user %d", name, a.uid)
	}
	return a, err
}

// maxID is the highest number of a user or group: the one above means "leave it as it is" (chown(2)). The C library takes the lower half of a
// number of 64 bits, and 4294967296 for root.
const maxID = 1<<32 - 2

// parseID reads a number as people write it: a sign or a zero in front could be anything else.
func parseID(text string) (int, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err == nil && (id > maxID || strconv.FormatUint(id, 10) != text) {
		err = strconv.ErrRange
	}
	return int(id), err
}

func accountOf(u *user.User) (account, error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	ids, err3 := u.GroupIds()
	if err := errors.Join(err1, err2, err3); err != nil {
		return account{}, fmt.Errorf("user %q: %w", u.Username, err)
	}
	a := account{uid: uid, gid: gid}
	for _, id := range ids {
		g, err := strconv.Atoi(id)
		if err != nil {
			return account{}, fmt.Errorf("user %q: group %q: %w", u.Username, id, err)
		}
		a.groups = append(a.groups, g)
	}
	return a, nil
}

// LookupUser returns the number of a user given by name or number.
func LookupUser(name string) (int, error) {
	a, err := lookupUser(name)
	return a.uid, err
}

// LookupGroup returns the number of a group given by name or number.
func LookupGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return strconv.Atoi(g.Gid)
	}
	gid, err := parseID(name)
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", name, user.UnknownGroupError(name))
	}
	return gid, nil
}

// IsCurrent reports whether this process is id already.
func (id *Identity) IsCurrent() bool {
	return unix.Getuid() == id.UID && unix.Geteuid() == id.UID && unix.Getgid() == id.GID && unix.Getegid() == id.GID
}

// Become gives up this process's privileges for id, in all threads, and checks
// that there is no way back. After an error the process may be neither one nor the other, and has to end. A process that is id already is left alone.
func (id *Identity) Become() error {
	if id.IsCurrent() {
		return nil
	}
	restore, err := signalRoom()
	if err != nil {
		return fmt.Errorf("become user %d, group %d: %w", id.UID, id.GID, err)
	}
	defer restore()
	// The order matters: after setuid nothing else is allowed. The calls of
	// package syscall, unlike those of x/sys/unix, reach every thread.
	if err := syscall.Setgroups(id.Groups); err != nil {
		return fmt.Errorf("set supplementary groups %v: %w", id.Groups, err)
	}
	if err := syscall.Setgid(id.GID); err != nil {
		return fmt.Errorf("set group %d: %w", id.GID, err)
	}
	if err := syscall.Setuid(id.UID); err != nil {
		return fmt.Errorf("set user %d: %w", id.UID, err)
	}
	if err := dropAllInheritable(); err != nil {
		return fmt.Errorf("drop inheritable capabilities: %w", err)
	}
	return id.check()
}

func (id *Identity) check() error {
	if !id.IsCurrent() {
		return fmt.Errorf("privileges: is user %d group %d after becoming user %d group %d",
			unix.Geteuid(), unix.Getegid(), id.UID, id.GID)
	}
	// Before the attempts below: where a thread could not be told, that cannot be told either.
	if err := id.checkThreads(); err != nil {
		return fmt.Errorf("privileges: after becoming user %d, group %d: %w", id.UID, id.GID, err)
	}
	if id.UID == 0 {
		return nil
	}
	if err := hasNone(); err != nil {
		return fmt.Errorf("privileges: after becoming user %d: %w", id.UID, err)
	}
	if syscall.Setuid(0) == nil {
		return fmt.Errorf("privileges: user %d could become root again", id.UID)
	}
	if id.GID != 0 && syscall.Setgid(0) == nil {
		return fmt.Errorf("privileges: user %d could take root's group again", id.UID)
	}
	return nil
}

// SetMaxFiles sets the limit of open descriptors, soft and hard as far as
// allowed. 0 leaves it alone.
func SetMaxFiles(n uint64) error {
	if n == 0 {
		return nil
	}
	limit, err := openFilesLimit(n)
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, limit)
	}
	if err != nil {
		return fmt.Errorf("max_files %d: %w", n, err)
	}
	return nil
}
