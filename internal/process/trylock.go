package process

import (
	"errors"
	"fmt"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// ErrLocked means that somebody holds a lock.
var ErrLocked = errors.New("locked")

// TryLock takes the lock of the file at path, and makes that if there is none: for this user alone, who alone can hold it then. It waits for
// nobody, and returns [ErrLocked] while another process of this user's holds it.
func TryLock(path string) (*Lock, error) {
	l, err := acquire(path)
	if !errors.Is(err, ErrLocked) {
		return l, err
	}
	info, statErr := safepath.Lstat(path)
	if statErr != nil {
		return nil, err // it has just been removed
	}
	if uid, ok := owner(info); ok && uid != os.Geteuid() {
		return nil, fmt.Errorf("lock file %s: user %d has put it there, and holds it", path, uid)
	}
	return nil, err
}
