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

func duplicate(syscall.Conn) (int, error) { return -1, errors.ErrUnsupported }

func closeAll([]int) {}
