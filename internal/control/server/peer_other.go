//go:build !linux && !darwin && !freebsd

package server

import "errors"

// canIdentify says whether identify works here.
const canIdentify = false

func identify(int) (uid, pid int, err error) { return 0, 0, errors.ErrUnsupported }
