package runfiles

import (
	"errors"
	"slices"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// ErrTaken means that another generation has what only one can have.
var ErrTaken = process.ErrLocked

// Only is what one generation has and no other: the lock of a file of that name beside the PID file. The kernel frees it when the process
// ends, however that is.
type Only struct {
	locks []*process.Lock
	paths []string // of them
}

// OnlyPath returns the path of the file for a name.
func OnlyPath(pidfile, name string) string { return pidfile + "." + name + ".only" }

// TakeOnly takes what a name stands for, and waits for nobody: it returns [ErrTaken] while another generation has it. Generations can have
// different PID files, as an upgrade may change that: pidfiles are those of all that may live, the oldest first.
func TakeOnly(pidfiles []string, name string) (*Only, error) {
	o := new(Only)
	for _, pidfile := range pidfiles {
		path := OnlyPath(pidfile, name)
		if slices.ContainsFunc(o.locks, func(l *process.Lock) bool { return l.IsAt(path) }) {
			continue // the same one by another path
		}
		l, err := process.TryLock(path)
		if err != nil {
			return nil, errors.Join(err, o.Release())
		}
		o.locks, o.paths = append(o.locks, l), append(o.paths, path)
	}
	return o, nil
}

// Release removes the files and lets go of the locks, in that order: whoever waits for one of a file that is gone makes a new one.
func (o *Only) Release() error {
	var err error
	for i, l := range o.locks {
		err = errors.Join(err, l.Remove(o.paths[i]))
	}
	return err
}
