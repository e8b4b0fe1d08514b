//go:build !linux

package process

import "syscall"

func takePending(syscall.Signal) {}
