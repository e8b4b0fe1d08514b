//go:build !unix

package process

import (
	"errors"
	"os"
)

func redirect(*os.File) error { return errors.ErrUnsupported }
