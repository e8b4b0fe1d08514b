//go:build !unix

package socket

import (
	"net"
	"os"
	"syscall"
)

// listenUnix has neither modes nor owners to set here.
func listenUnix(path string, _ Options) (Listener, error) {
	return listenNet(&net.ListenConfig{}, "unix", path)
}

// SetAccess does nothing: there are neither modes nor owners here.
func SetAccess(string, Options) error { return nil }

func reusePort(_, _ string, _ syscall.RawConn) error { return syscall.EWINDOWS }

// Remove removes a Unix socket's file.
func Remove(path string) error { return os.Remove(path) }
