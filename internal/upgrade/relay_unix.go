//go:build unix

package upgrade

import (
	"fmt"
	"io"
	"os"
	"time"

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

// notifyReady is the byte that tableflip writes (parent.go, v1.2.3).
const notifyReady = 42

// relay stands between tableflip and its two pipes. One is that by which it waits for its
// parent's death. tableflip refuses to upgrade before that ("parent hasn't
// exited", its issue 52), so a daemon could not be upgraded while an old
// generation drains. relay copies what the parent sends, and ends the copy when
// release is called: then tableflip believes its parent gone. The pipe's true
// end closes exited.
//
// The other is that on which tableflip says that this process is ready. What it says goes nowhere: its parent's Upgrader
// would have had its one success, and that parent could not be upgraded again, should this process die. Only a parent that does not
// stand by gets the byte, by tell.
type relay struct {
	exited chan struct{} // closed when the parent is gone
	to     *os.File      // what tableflip's end of the pipe reads from; released once
	ready  *os.File      // the pipe to the parent's tableflip
	unread *os.File      // where what it says goes instead; nil if that is no pipe
}

// newRelay puts itself in the place of descriptors 3 and 4. It must run before
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
	ready, unread, err := silence(tableflipReadyFD)
	if err != nil {
		_ = unix.Close(from)
		_ = w.Close()
		return nil, fmt.Errorf("upgrade: replace descriptor %d: %w", tableflipReadyFD, err)
	}
	copyNames(from, w)
	rl := &relay{exited: make(chan struct{}), to: w, ready: ready, unread: unread}
	rest := os.NewFile(uintptr(from), "parent")
	time.AfterFunc(watchDelay, func() { rl.copyUntilParentExits(rest) })
	return rl, nil
}

// silence has what is written to fd go nowhere, and returns what it was, and the reader of [nowhere].
func silence(fd int) (ready, reader *os.File, err error) {
	was, err := dupDescriptor(fd)
	if err != nil {
		return nil, nil, err
	}
	to, reader, err := nowhere()
	if err == nil {
		err = replaceDescriptor(to, fd)
		_ = unix.Close(to)
	}
	if err != nil {
		_ = unix.Close(was)
		_ = reader.Close() // if there is one
		return nil, nil, err
	}
	return os.NewFile(uintptr(was), "ready"), reader, nil
}

// nowhere returns a descriptor to which one may write what nobody wants. An image with nothing but the
// program in it has no /dev/null: then it is a pipe, whose reader must stay open until that has been written.
// Otherwise reader is nil.
func nowhere() (fd int, reader *os.File, err error) {
	fd, err = unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd, nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return -1, nil, err
	}
	defer func() { _ = w.Close() }()
	end, err := descriptor(w)
	if err == nil {
		fd, err = dupDescriptor(end)
	}
	if err != nil {
		_ = r.Close()
		return -1, nil, err
	}
	return fd, r, nil
}

// copyNames copies what the parent has written when it started this process, at once: tableflip
// waits for it, and a goroutine that reads, and then wakes it, costs a fifth of a millisecond. What
// does not fit, or has not been written yet, follows; there is room for that much in an empty pipe.
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

// tell has the parent's tableflip know that this process is ready.
func (r *relay) tell() { _, _ = r.ready.Write([]byte{notifyReady}) } // or the parent is dead

// forget lets go of the pipe to the parent's tableflip, which hears of this process's end by itself.
func (r *relay) forget() { _ = r.ready.Close() }

// release lets tableflip, which has said that this process is ready, believe that the parent has exited.
func (r *relay) release() {
	_ = r.to.Close()
	_ = r.unread.Close() // or it is nil
}

// isPipe tells the parent's descriptors from those that the runtime may have
// opened meanwhile, and cannot do without.
func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
