package upgrade

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// Listener can be passed to another process.
type Listener interface {
	net.Listener
	syscall.Conn
}

// errNotHeld is why a socket cannot be opened again.
var errNotHeld = errors.New("this process does not hold it")

// held are the listening sockets that this process passes on, by their IDs. Each is a descriptor of
// its own, and a bare one: an os.File would have the runtime's poller wake a generation that drains for every connection
// that its successor accepts. tableflip could pass sockets too, but keeps its duplicates of them until its one success.
type held struct {
	mu  sync.Mutex // held while they are sent
	fds map[string]int
}

func (h *held) add(id string, fd int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fds == nil {
		h.fds = make(map[string]int)
	}
	h.fds[id] = fd
}

// close closes all but those that keep says.
func (h *held) close(keep func(id string) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, fd := range h.fds {
		if !keep(id) {
			closeDescriptor(fd)
			delete(h.fds, id)
		}
	}
}

// open returns a listener on a socket, with a descriptor of its own.
func (h *held) open(id string) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd, ok := h.fds[id]
	if !ok {
		return nil, fmt.Errorf("socket %s: %w", id, errNotHeld)
	}
	return listenerOf(fd)
}

// Inherit returns the listener of an inherited socket, and passes it on to
// successors as now describes it, but for ID and Bound. A socket can be taken
// once. One that is not taken is closed by Ready.
func (u *Upgrader) Inherit(old, now Socket) (net.Listener, error) {
	ln, err := u.inherited.open(old.ID)
	if errors.Is(err, errNotHeld) {
		return nil, fmt.Errorf("upgrade: group %s: socket %s was not inherited", now.Group, old.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade: group %s: %w", now.Group, err)
	}
	u.held.add(old.ID, u.inherited.take(old.ID))
	now.ID, now.Bound = old.ID, ln.Addr().String()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sockets = append(u.sockets, now)
	return ln, nil
}

// take returns a socket's descriptor, which is the caller's from then on.
func (h *held) take(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd := h.fds[id]
	delete(h.fds, id)
	return fd
}

// Kept returns the IDs of the inherited sockets that were taken.
func (u *Upgrader) Kept() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := []string{}
	for _, s := range u.sockets {
		if slices.ContainsFunc(u.manifest.Sockets, func(old Socket) bool { return old.ID == s.ID }) {
			kept = append(kept, s.ID)
		}
	}
	return kept
}

// Add has ln passed on to successors as s describes it, but for ID and Bound. The
// listener stays the caller's, and may be closed. Where upgrades are not
// supported Add does nothing.
func (u *Upgrader) Add(s Socket, ln Listener) error {
	if u.tf == nil {
		return nil
	}
	if file, ok := ln.(interface{ SetUnlinkOnClose(unlink bool) }); ok {
		file.SetUnlinkOnClose(false)
	}
	fd, err := fdpass.Dup(ln)
	if err != nil {
		return fmt.Errorf("upgrade: group %s: %w", s.Group, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nextID++
	s.ID, s.Bound = fmt.Sprintf("%d.%d", u.manifest.Generation, u.nextID), ln.Addr().String()
	u.held.add(s.ID, fd)
	u.sockets = append(u.sockets, s)
	return nil
}

// Reopen returns a listener on a group's socket, which this process still holds for its successors: its own has been
// closed when it was replaced.
func (u *Upgrader) Reopen(group string) (net.Listener, error) {
	u.mu.Lock()
	i := slices.IndexFunc(u.sockets, func(s Socket) bool { return s.Group == group })
	id := ""
	if i >= 0 {
		id = u.sockets[i].ID
	}
	u.mu.Unlock()
	ln, err := u.held.open(id)
	if err != nil {
		return nil, fmt.Errorf("upgrade: group %s: reopen: %w", group, err)
	}
	return ln, nil
}
