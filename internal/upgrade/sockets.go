package upgrade

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// errNotHeld is why a socket cannot be opened again.
var errNotHeld = errors.New("this process does not hold it")

// held are listening sockets of this process, by their IDs: those that it has inherited, or those that it passes on. Each is a descriptor of
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

// close closes all of them.
func (h *held) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, fd := range h.fds {
		closeDescriptor(fd)
		delete(h.fds, id)
	}
}

// open returns a socket with a descriptor of its own.
func (h *held) open(id string) (socket.Socket, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd, ok := h.fds[id]
	if !ok {
		return nil, fmt.Errorf("socket %s: %w", id, errNotHeld)
	}
	return socketOf(fd)
}

// take returns a socket's descriptor, which is the caller's from then on.
func (h *held) take(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd := h.fds[id]
	delete(h.fds, id)
	return fd
}

// hasSocket reports whether one of them has that ID.
func hasSocket(sockets []Socket, id string) bool {
	return slices.ContainsFunc(sockets, func(s Socket) bool { return s.ID == id })
}
