//go:build !unix

package packet

import "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"

// isQueued is not known here.
func isQueued(socket.Packets) bool { return false }
