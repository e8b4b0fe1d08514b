//go:build !unix

package process

import (
	"errors"
	"fmt"
)

// Identity is not to be had here.
type Identity struct{ UID, GID int }

// LookupIdentity returns nil when both names are empty, and an error that wraps
// errors.ErrUnsupported otherwise.
func LookupIdentity(userName, groupName string) (*Identity, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	return nil, fmt.Errorf("user and group: %w", errors.ErrUnsupported)
}

// LookupUser returns an error that wraps errors.ErrUnsupported.
func LookupUser(string) (int, error) { return 0, errors.ErrUnsupported }

// LookupGroup returns an error that wraps errors.ErrUnsupported.
func LookupGroup(string) (int, error) { return 0, errors.ErrUnsupported }

// Become returns an error that wraps errors.ErrUnsupported.
func (*Identity) Become() error { return errors.ErrUnsupported }

// SetMaxFiles returns an error that wraps errors.ErrUnsupported, unless n is 0.
func SetMaxFiles(n uint64) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("max_files: %w", errors.ErrUnsupported)
}
