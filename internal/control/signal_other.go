//go:build !unix

package control

import (
	"errors"
	"os"
)

// No signal but the kill reaches another process here.
var (
	sigStop   = os.Kill
	sigQuit   = os.Kill
	sigReopen = os.Kill
)

func signal(string, os.Signal) (int, error) { return 0, errors.ErrUnsupported }
