//go:build unix

package config

import "syscall"

// atOnce is the flag by which opening a FIFO does not wait for its other end.
const atOnce = syscall.O_NONBLOCK
