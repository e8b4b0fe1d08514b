//go:build !linux && !darwin && !freebsd

package socket

import "errors"

// HasPeerCred says whether PeerOf works here.
const HasPeerCred = false

func identify(int) (uid, pid int, err error) { return 0, 0, errors.ErrUnsupported }
