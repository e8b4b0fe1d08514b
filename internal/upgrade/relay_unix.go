//go:build unix

package upgrade

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// tableflip's two pipes and its mark in the environment (parent.go, v1.2.3).
// The version is pinned, and a test upgrades a daemon whose ancestors live on:
// it fails when these facts change.
const (
	tableflipEnv     = "TABLEFLIP_HAS_PARENT_7DIU3"
	tableflipReadyFD = 3 // written when the child is ready
	tableflipNamesFD = 4 // names of the inherited files, then open until the parent's death
)

// relay stands between tableflip and the pipe by which it waits for its
// parent's death. tableflip refuses to upgrade before that ("parent hasn't
// exited", its issue 52), so a daemon could not be upgraded while an old
// generation drains. relay copies what the parent sends, and ends the copy when
// release is called: then tableflip believes its parent gone. The pipe's true
// end closes exited.
type relay struct {
	exited chan struct{} // closed when the parent is gone
	to     *os.File      // what tableflip's end of the pipe reads from; released once
}

// newRelay puts itself in the place of descriptor 4. It must run before
// tableflip.New.
func newRelay() (*relay, error) {
	if !isPipe(tableflipReadyFD) || !isPipe(tableflipNamesFD) {
		return nil, fmt.Errorf("upgrade: %s is set, but descriptors %d and %d are no pipes: another daemon has passed on its environment",
			tableflipEnv, tableflipReadyFD, tableflipNamesFD)
	}
	unix.CloseOnExec(tableflipReadyFD)
	from, err := unix.FcntlInt(tableflipNamesFD, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("upgrade: descriptor %d is not the parent's: %w", tableflipNamesFD, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		_ = unix.Close(from)
		return nil, fmt.Errorf("upgrade: pipe: %w", err)
	}
	defer func() { _ = r.Close() }()
	fd, err := descriptor(r)
	if err == nil {
		err = replaceDescriptor(fd, tableflipNamesFD)
	}
	if err != nil {
		_ = unix.Close(from)
		_ = w.Close()
		return nil, fmt.Errorf("upgrade: replace descriptor %d: %w", tableflipNamesFD, err)
	}
	copyNames(from, w)
	rl := &relay{exited: make(chan struct{}), to: w}
	go rl.copyUntilParentExits(os.NewFile(uintptr(from), "parent"))
	return rl, nil
}

// copyNames copies what the parent has written when it started this process, at once: tableflip
// waits for it, and a goroutine that reads, and then wakes it, costs a fifth of a millisecond. What
// does not fit follows; there is room for that much in an empty pipe.
func copyNames(from int, to *os.File) {
	buf := make([]byte, 4<<10)
	n, err := unix.Read(from, buf)
	if err == nil && n > 0 {
		_, _ = to.Write(buf[:n]) // an error is met again by the goroutine that follows
	}
}

func (r *relay) copyUntilParentExits(from *os.File) {
	defer close(r.exited)
	defer func() { _ = from.Close() }()
	// Once released, writing fails; reading goes on to the true end.
	if _, err := io.Copy(r.to, from); err != nil {
		_, _ = io.Copy(io.Discard, from)
	}
	_ = r.to.Close()
}

// release lets tableflip believe that the parent has exited.
func (r *relay) release() { _ = r.to.Close() }

// isPipe tells the parent's descriptors from those that the runtime may have
// opened meanwhile, and cannot do without.
func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
