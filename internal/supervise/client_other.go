//go:build !linux

package supervise

import (
	"errors"
	"os"
	"syscall"
)

func peer(*os.File) (int, error) { return 0, errors.ErrUnsupported }

func isGone(error) bool { return false }

func write(syscall.Conn, []byte, []int) error { return errors.ErrUnsupported }
