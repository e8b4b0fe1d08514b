//go:build !unix

package fdpass

import (
	"errors"
	"os"
	"syscall"
)

// Pair returns errors.ErrUnsupported.
func Pair(int, string) (one, other *os.File, err error) { return nil, nil, errors.ErrUnsupported }

// Dup returns errors.ErrUnsupported.
func Dup(syscall.Conn) (dup int, err error) { return -1, errors.ErrUnsupported }

// Close does nothing: there are no descriptors.
func Close([]int) {}

// CloseOnExec does nothing: a process inherits only what it is given here.
func CloseOnExec(int) {}
