//go:build unix

package upgrade

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// relay stands between tableflip and its two pipes. One is that by which it waits for its
// parent's death. tableflip refuses to upgrade before that ("parent hasn't
// exited", its issue 52), so a daemon could not be upgraded while an old
// generation drains. tableflip gets the end of a pipe of the relay's own, and believes its parent
// gone when release is called. The true pipe's end closes exited.
//
// The names of the inherited files, which the parent writes there after it has started this process, are not waited for:
// they are always the same, and a parent that was killed meanwhile has not written them. The relay itself says
// that there are none, and New takes the bootstrap channel by its place.
//
// The other is that on which tableflip says that this process is ready. What it says goes into the copy, from which it reads
// nothing any more but the end: its parent's Upgrader
// would have had its one success, and that parent could not be upgraded again, should this process die. Only a parent that does not
// stand by gets the byte, by tell.
type relay struct {
	exited chan struct{} // closed when the parent is gone
	to     *os.File      // what tableflip's end of the pipe reads from; released once
	ready  *os.File      // the pipe to the parent's tableflip
}

// newRelay puts itself in the place of descriptors 3 and 4. It must run before
// tableflip.New.
func newRelay() (*relay, error) {
	if !isPipe(tableflipReadyFD) || !isPipe(tableflipNamesFD) {
		return nil, fmt.Errorf("upgrade: %s is set, but descriptors %d and %d are no pipes: another daemon has passed on its environment",
			early.SuccessorEnv, tableflipReadyFD, tableflipNamesFD)
	}
	from, err := fdpass.DupNumber(tableflipNamesFD)
	if err != nil {
		return nil, fmt.Errorf("upgrade: descriptor %d is not the parent's: %w", tableflipNamesFD, err)
	}
	ready, err := fdpass.DupNumber(tableflipReadyFD)
	if err != nil {
		_ = unix.Close(from)
		return nil, fmt.Errorf("upgrade: descriptor %d is not the parent's: %w", tableflipReadyFD, err)
	}
	to, err := standInPipe()
	if err != nil {
		_, _ = unix.Close(from), unix.Close(ready)
		return nil, fmt.Errorf("upgrade: replace descriptors %d and %d: %w", tableflipReadyFD, tableflipNamesFD, err)
	}
	rl := &relay{exited: make(chan struct{}), to: to, ready: os.NewFile(uintptr(ready), "ready")}
	go rl.watch(os.NewFile(uintptr(from), "parent"))
	return rl, nil
}

// standInPipe puts the ends of a new pipe in the place of tableflip's descriptors, and returns the end to write to, on which
// tableflip has been told that no files are inherited. It closes its own end when it has said that this process is ready.
func standInPipe() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	err = gob.NewEncoder(w).Encode(noNames)
	if err := errors.Join(err, replaceBy(r, tableflipNamesFD), replaceBy(w, tableflipReadyFD)); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

func replaceBy(f *os.File, fd int) error {
	with, err := fdpass.Number(f)
	if err != nil {
		return err
	}
	return replaceDescriptor(with, fd)
}

// watch reads on to the end of the parent's pipe, which is its death.
func (r *relay) watch(from *os.File) {
	_, _ = io.Copy(io.Discard, from)
	_ = from.Close()
	close(r.exited)
}

// notify has the parent's tableflip know that this process is ready.
func (r *relay) notify() { _, _ = r.ready.Write([]byte{notifyReady}) } // or the parent is dead

// forget lets go of the pipe to the parent's tableflip, which hears of this process's end by itself.
func (r *relay) forget() { _ = r.ready.Close() }

// release lets tableflip, which has said that this process is ready, believe that the parent has exited.
func (r *relay) release() { _ = r.to.Close() }

// isPipe tells the parent's descriptors from those that the runtime may have
// opened meanwhile, and cannot do without.
func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
