//go:build !unix

package process

import "syscall"

func newSession() *syscall.SysProcAttr { return nil }

func isPipe(int) bool { return false }

func closeAllOnExec() {}
