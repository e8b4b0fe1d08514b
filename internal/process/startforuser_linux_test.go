package process_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// A process that would keep root's session keyring is not started, unless nobody has keyrings, or may make one.
func TestStartWithoutNewKeyring(t *testing.T) {
	for fails, starts := range map[error]bool{nil: true, unix.ENOSYS: true, unix.EPERM: true, unix.EACCES: true, unix.EDQUOT: false, unix.ENOMEM: false} {
		started := false
		err := process.StartForUserBy(func() error { return fails }, func() error { started = true; return nil })
		if started != starts || starts != (err == nil) || !starts && !errors.Is(err, fails) {
			t.Errorf("a new keyring fails with %v: started %t, %v", fails, started, err)
		}
	}
}
