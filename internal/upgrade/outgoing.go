package upgrade

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// outgoing is what this generation passes on to every successor: listening sockets, and files of the caller's.
type outgoing struct {
	generation int  // of this process
	held       held // the sockets

	mu      sync.Mutex // guards what follows; it is taken before that of held
	sockets []Socket   // what they are
	nextID  int
	files   map[string]*os.File
}

// inherit passes on a socket of the parent's, and returns it.
func (o *outgoing) inherit(from *held, old, now Socket) (socket.Socket, error) {
	sock, err := from.open(old.ID)
	if errors.Is(err, errNotHeld) {
		return nil, fmt.Errorf("upgrade: group %s: the previous generation names socket %s, and has not passed it on", now.Group, old.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade: group %s: %w", now.Group, err)
	}
	o.held.add(old.ID, from.take(old.ID))
	now.ID, now.Bound = old.ID, sock.Addr().String()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sockets = append(o.sockets, now)
	return sock, nil
}

// add passes on a socket of this process's own.
func (o *outgoing) add(s Socket, sock socket.Socket) error {
	if file, ok := sock.(interface{ SetUnlinkOnClose(unlink bool) }); ok {
		file.SetUnlinkOnClose(false)
	}
	fd, err := fdpass.Dup(sock)
	if err != nil {
		return fmt.Errorf("upgrade: group %s: %w", s.Group, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.nextID++
	s.ID, s.Bound = fmt.Sprintf("%d.%d", o.generation, o.nextID), sock.Addr().String()
	o.held.add(s.ID, fd)
	o.sockets = append(o.sockets, s)
	return nil
}

// reopen returns a group's socket with a descriptor of its own.
func (o *outgoing) reopen(group string) (socket.Socket, error) {
	id := ""
	all := o.all()
	if i := slices.IndexFunc(all, func(s Socket) bool { return s.Group == group }); i >= 0 {
		id = all[i].ID
	}
	sock, err := o.held.open(id)
	if err != nil {
		return nil, fmt.Errorf("upgrade: group %s: reopen: %w", group, err)
	}
	return sock, nil
}

// all are the sockets that are passed on.
func (o *outgoing) all() []Socket {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sockets)
}

// dropped returns the groups whose sockets are not among those kept. A successor
// that does not say has perhaps kept all.
func (o *outgoing) dropped(kept []string) []string {
	if kept == nil {
		return nil
	}
	var groups []string
	for _, s := range o.all() {
		if !slices.Contains(kept, s.ID) {
			groups = append(groups, s.Group)
		}
	}
	return groups
}

// pass has f passed on under a name, which replaces an earlier one; nil takes it back.
func (o *outgoing) pass(name string, f *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f == nil {
		delete(o.files, name)
		return
	}
	if o.files == nil {
		o.files = make(map[string]*os.File)
	}
	o.files[name] = f
}

// send calls to with the files, which are its to add to, and the sockets' descriptors, none of which is closed meanwhile.
func (o *outgoing) send(to func(files map[string]*os.File, sockets map[string]int) error) error {
	o.mu.Lock()
	files := make(map[string]*os.File, len(o.files))
	maps.Copy(files, o.files)
	o.mu.Unlock()
	o.held.mu.Lock()
	defer o.held.mu.Unlock()
	return to(files, o.held.fds)
}
