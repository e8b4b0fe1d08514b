//go:build unix && !linux

package handover

import "syscall"

// setByNet are the options that package net sets, as far as package syscall has them: the times of keep-alive become
// those of package net.
var setByNet = []option{
	{syscall.IPPROTO_TCP, syscall.TCP_NODELAY},
	{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
}
