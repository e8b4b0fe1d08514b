package upgrade

import (
	"fmt"
	"net"
	"slices"
	"syscall"
)

// Listener can be passed to another process.
type Listener interface {
	net.Listener
	syscall.Conn
}

// Inherit returns the listener of an inherited socket, and passes it on to
// successors as now describes it, but for ID and Bound. A socket can be taken
// once. One that is not taken is closed by Ready.
func (u *Upgrader) Inherit(old, now Socket) (net.Listener, error) {
	ln, err := u.tf.Listener(network, old.ID)
	if err != nil {
		return nil, fmt.Errorf("upgrade: group %s: %w", now.Group, err)
	}
	if ln == nil {
		return nil, fmt.Errorf("upgrade: group %s: socket %s was not inherited", now.Group, old.ID)
	}
	now.ID, now.Bound = old.ID, ln.Addr().String()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sockets = append(u.sockets, now)
	return ln, nil
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
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nextID++
	s.ID, s.Bound = fmt.Sprintf("%d.%d", u.manifest.Generation, u.nextID), ln.Addr().String()
	if err := u.tf.AddListener(network, s.ID, ln); err != nil {
		return fmt.Errorf("upgrade: group %s: %w", s.Group, err)
	}
	u.sockets = append(u.sockets, s)
	return nil
}
