//go:build !unix

package process

import "syscall"

func newSession() *syscall.SysProcAttr { return nil }

func closeOnExec(int) {}

func isPipe(int) bool { return false }

func closeAllOnExec() {}
