//go:build !linux

package process

import (
	"errors"
	"fmt"
)

// FindsChildren says whether FindChild works on this system.
const FindsChildren = false

// FindChild fails: there is no way to look without cgo that would have been tried.
func FindChild(variable string) (*Process, error) {
	return nil, fmt.Errorf("a child with %s in its environment: %w", variable, errors.ErrUnsupported)
}
