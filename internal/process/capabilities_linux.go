package process

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

type capabilities [2]unix.CapUserData

func ownCapabilities() (c capabilities, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return c, unix.Capget(&header, &c[0])
}

// setCapabilities are of the calling thread.
func setCapabilities(c *capabilities) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return unix.Capset(&header, &c[0])
}

// setAllCapabilities are of all threads. A program with cgo, of whose threads Go does not know all, gets an error.
func setAllCapabilities(c *capabilities) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&c[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// dropInheritable sets, by set, no inheritable capabilities, which a change of the user leaves (capabilities(7)): with them a program
// whose file allows for it would have them again. Few parents have any to give.
func dropInheritable(set func(*capabilities) error) error {
	c, err := ownCapabilities()
	if err != nil || c[0].Inheritable|c[1].Inheritable == 0 {
		return err
	}
	c[0].Inheritable, c[1].Inheritable = 0, 0
	return set(&c)
}

// dropAllInheritable is dropInheritable for all threads.
func dropAllInheritable() error { return dropInheritable(setAllCapabilities) }

// hasNone returns an error if this thread has any capability.
func hasNone() error {
	c, err := ownCapabilities()
	if err != nil {
		return err
	}
	for _, half := range c {
		if half.Effective|half.Permitted|half.Inheritable != 0 {
			return errors.New("capabilities are left")
		}
	}
	return nil
}
