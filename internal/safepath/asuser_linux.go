package safepath

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// AsUser calls do in a thread that has a user's rights to files, in the group gid alone (setfsuid(2)), and root's no more. It is no
// process of that user's: he could trace that, and have by it what he may not have himself.
//
// The thread gets root's rights back before AsUser returns: a thread that ended meanwhile would be one that a later setuid of all threads
// finds with other rights, or half gone, and ends the process for.
func AsUser(uid, gid int, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		before, err := ownRights()
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		if err = before.change(uid, gid); err == nil {
			err = do()
		}
		if backErr := before.restore(); backErr == nil {
			runtime.UnlockOSThread()
		} else if err == nil { // and the thread ends with this goroutine
			err = fmt.Errorf("root's rights are not given back to a thread: %w", backErr)
		}
		done <- err
	}()
	return <-done
}

// rights are those of a thread that has root's.
type rights struct {
	uid, gid     int // to files
	groups       []int
	capabilities [2]unix.CapUserData
}

func header() *unix.CapUserHeader {
	return &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
}

func ownRights() (r rights, err error) {
	r.uid, r.gid = fileIDs()
	if r.groups, err = unix.Getgroups(); err != nil {
		return r, fmt.Errorf("getgroups: %w", err)
	}
	if err := unix.Capget(header(), &r.capabilities[0]); err != nil {
		return r, fmt.Errorf("capget: %w", err)
	}
	return r, nil
}

// fileIDs are asked for by a change to numbers that there are not.
func fileIDs() (uid, gid int) {
	uid, _ = unix.SetfsuidRetUid(-1)
	gid, _ = unix.SetfsgidRetGid(-1)
	return uid, gid
}

// change has the thread act without root's capabilities too (capset(2)): setfsuid leaves those that are not about files, such as the one to
// trace others. All of these calls are for this thread, unlike package syscall's.
func (r rights) change(uid, gid int) error {
	if err := unix.Setgroups([]int{gid}); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := setFileIDs(uid, gid); err != nil {
		return err
	}
	without := r.capabilities
	without[0].Effective, without[1].Effective = 0, 0
	if err := unix.Capset(header(), &without[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// restore is the way back: the thread is still permitted to have the capabilities.
func (r rights) restore() error {
	if err := unix.Capset(header(), &r.capabilities[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	if err := unix.Setgroups(r.groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := setFileIDs(r.uid, r.gid); err != nil {
		return err
	}
	if err := unix.Capset(header(), &r.capabilities[0]); err != nil { // setfsuid may have changed those about files
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

func setFileIDs(uid, gid int) error {
	_, _ = unix.SetfsgidRetGid(gid) // there is no error, but the number that it was
	_, _ = unix.SetfsuidRetUid(uid)
	if hasUID, hasGID := fileIDs(); hasUID != uid || hasGID != gid {
		return fmt.Errorf("the rights of user %d cannot be taken", uid)
	}
	return nil
}

// nogroup is the group of what is made for a user whose own is not known: no rights come of it.
const nogroup = 65534

func asUser(uid int, do func() error) (int, error) { return uid, AsUser(uid, nogroup, do) }
