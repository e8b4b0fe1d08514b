//go:build !unix

package upgrade

import (
	"os"
	"time"
)

const mailboxWait = 5 * time.Second

func standbyPair() (ours, theirs *os.File, err error) { return nil, nil, ErrNotSupported }
