//go:build unix && !linux

package process

import "errors"

func closeRangeOnExec(uint) error { return errors.ErrUnsupported }
