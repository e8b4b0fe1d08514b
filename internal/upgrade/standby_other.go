//go:build !unix

package upgrade

import "os"

func standbyPair() (ours, theirs *os.File, err error) { return nil, nil, ErrNotSupported }
