package safepath

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// AsUser calls do in a thread that has a user's rights to files, in the group gid alone (setfsuid(2)), and root's no more. It is no
// process of that user's: he could trace that, and have by it what he may not have himself.
func AsUser(uid, gid int, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and the rights with it
		err := takeRights(uid, gid)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

func takeRights(uid, gid int) error {
	if err := unix.Setgroups([]int{gid}); err != nil { // of this thread, unlike package syscall's
		return fmt.Errorf("setgroups: %w", err)
	}
	_, _ = unix.SetfsgidRetGid(gid) // there is no error, but the number that it was
	_, _ = unix.SetfsuidRetUid(uid)
	hasGID, _ := unix.SetfsgidRetGid(-1)
	if hasUID, _ := unix.SetfsuidRetUid(-1); hasUID != uid || hasGID != gid {
		return fmt.Errorf("the rights of user %d cannot be taken", uid)
	}
	return dropCapabilities()
}

// dropCapabilities has this thread act without root's (capset(2)): setfsuid has left those that are not about files, such as the one to
// trace others.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	data[0].Effective, data[1].Effective = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// nogroup is the group of what is made for a user whose own is not known: no rights come of it.
const nogroup = 65534

func asUser(uid int, do func() error) (int, error) { return uid, AsUser(uid, nogroup, do) }
