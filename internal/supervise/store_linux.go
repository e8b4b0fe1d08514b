package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// storeEnv says how many descriptors systemd keeps for the unit, which is no business of the generations'. systemd 254 and
// later set it.
const storeEnv = "FDSTORE"

// keepSockets gives systemd what a generation says that serves, or is about to. Where its unit does not allow for so
// many systemd says so in the unit's journal, and nobody else needs to.
//
// The generation may send anything under any name. systemd gets sockets that listen or receive datagrams only, and under no name but one of
// activation.StoredName: the next generation 1, which root may start, is given them, and takes them for what their names
// say. By its own name a socket unit's socket is told.
func (u *unit) keepSockets(names []string, files []int) error {
	if !u.watches {
		return errors.New("there is no systemd")
	}
	if len(names) != len(files) {
		return fmt.Errorf("%d names for %d sockets", len(names), len(files))
	}
	wanted := make([]Stored, len(names))
	for i, name := range names {
		if !isSocketName(name) {
			return fmt.Errorf("systemd takes no name such as %q", name)
		}
		if slices.Contains(names[:i], name) { // the next generation 1 would have to choose
			return fmt.Errorf("%q is the name of two sockets", name)
		}
		if !(activation.Socket{Name: name}).IsStored() {
			return fmt.Errorf("%q is no name of a stored socket", name)
		}
		inode, err := groupSocket(files[i])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		wanted[i] = Stored{name, inode}
	}
	u.store(wanted, files)
	return nil
}

// groupSocket returns the inode of a socket such as a group has.
func groupSocket(fd int) (inode uint64, err error) {
	var opts [3]int
	for i, name := range []int{unix.SO_ACCEPTCONN, unix.SO_TYPE, unix.SO_DOMAIN} {
		if opts[i], err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, name); err != nil {
			return 0, os.NewSyscallError("getsockopt", err)
		}
	}
	listens, kind, domain := opts[0] != 0, opts[1], opts[2]
	if !listens && (kind != unix.SOCK_DGRAM || !slices.Contains([]int{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX}, domain)) {
		return 0, errors.New("it neither listens nor receives datagrams")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Ino, nil
}

// store changes what systemd keeps to what is wanted. What is to go goes first: systemd does not take a
// socket a second time under another name, and knows only one number of all.
func (u *unit) store(wanted []Stored, files []int) {
	gone := make(map[string]bool) // systemd removes by name, whatever has it
	for _, k := range u.stored {
		if !slices.Contains(wanted, k) && !gone[k.Name] {
			gone[k.Name] = true
			u.notify("FDSTOREREMOVE=1", "FDNAME="+k.Name)
		}
	}
	for i, k := range wanted {
		if slices.Contains(u.stored, k) && !gone[k.Name] {
			continue
		}
		if err := u.give(files[i], "FDSTORE=1\nFDNAME="+k.Name); err != nil {
			u.log.Warn("socket not kept", "name", k.Name, "error", err)
		}
	}
	u.stored = wanted
}

// give sends a message with a descriptor, which stays the caller's.
func (s *systemd) give(fd int, text string) error {
	if !s.watches {
		return nil
	}
	dup, err := fdpass.DupNumber(fd)
	if err == nil {
		s.outbox.send(outgoing{text: text, files: []int{dup}})
	}
	return err
}
