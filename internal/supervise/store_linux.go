package supervise

import (
	"cmp"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// storeEnv says how many descriptors systemd keeps for the unit, which is no business of the generations'. systemd 254 and
// later set it.
const storeEnv = "FDSTORE"

// keepSockets has systemd keep what a generation says that serves, or is about to. Where its unit does not allow for so
// many systemd says so in the unit's journal, and nobody else needs to.
func (s *supervisor) keepSockets(pid int, names []string, files []int) {
	if s.Line.find(pid) == nil || len(names) != len(files) {
		return
	}
	wanted := make([]Stored, len(names))
	for i, name := range names {
		var st unix.Stat_t
		if err := unix.Fstat(files[i], &st); err != nil {
			s.log.Warn("socket not kept", "name", name, "error", os.NewSyscallError("fstat", err))
			return
		}
		wanted[i] = Stored{name, st.Ino}
	}
	s.store(wanted, files)
}

// store changes what systemd keeps to what is wanted. What is to go goes first: systemd does not take a
// socket a second time under another name, and knows only one number of all.
func (s *supervisor) store(wanted []Stored, files []int) {
	gone := make(map[string]bool) // systemd removes by name, whatever has it
	for _, k := range s.Stored {
		if !slices.Contains(wanted, k) && !gone[k.Name] {
			gone[k.Name] = true
			s.systemd.tell("FDSTOREREMOVE=1", "FDNAME="+k.Name)
		}
	}
	for i, k := range wanted {
		if slices.Contains(s.Stored, k) && !gone[k.Name] {
			continue
		}
		if err := s.systemd.give(files[i], "FDSTORE=1\nFDNAME="+k.Name); err != nil {
			s.log.Warn("socket not kept", "name", k.Name, "error", err)
		}
	}
	s.Stored = wanted
}

// give sends a message with a descriptor, which stays open here.
func (s *systemd) give(fd int, text string) error {
	if !s.watches {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv(notifyEnv), Net: "unixgram"})
	if err != nil {
		return err
	}
	err = write(conn, []byte(text), []int{fd})
	return cmp.Or(err, conn.Close())
}
