//go:build !linux && !darwin && !freebsd

package socket

import "errors"

// KnowsPeers says whether PeerOf works here.
const KnowsPeers = false

func identify(int) (uid, pid int, err error) { return 0, 0, errors.ErrUnsupported }
