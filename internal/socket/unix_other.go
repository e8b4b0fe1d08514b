//go:build !unix

package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// bindUnix has neither modes nor owners to set here.
func bindUnix(network, path string, _ Options) (Socket, error) {
	if IsPackets(network) {
		return nil, fmt.Errorf("%s %s: %w", network, path, errors.ErrUnsupported)
	}
	return listenNet("unix", path)
}

func bindTCP(network, address string, _ bool) (Socket, error) {
	return listenNet(network, address)
}

func listenNet(network, address string) (Socket, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	l, ok := ln.(Listener)
	if !ok {
		_ = ln.Close()
		return nil, fmt.Errorf("listen %s %s: %T is no socket", network, address, ln)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return l, nil
}

// Begin does nothing: what Bind returns listens.
func Begin(Socket) error { return nil }

func bindError(err error) error { return err }

// FromFile returns an error: nobody passes sockets here.
func FromFile(*os.File) (Socket, error) { return nil, errors.ErrUnsupported }

// SetAccess does nothing: there are neither modes nor owners here.
func SetAccess(syscall.Conn, string, Options) error { return nil }

// Access returns an error.
func Access(syscall.Conn, string) (Options, error) { return Options{}, errors.ErrUnsupported }

// Owner returns an error: owners have no numbers here.
func Owner(string) (uid int, err error) { return -1, errors.ErrUnsupported }

func setReusePort(syscall.RawConn, bool) error { return errors.ErrUnsupported }

func setReuseAddr(syscall.RawConn, bool) error { return errors.ErrUnsupported }

// Remove removes a Unix socket's file.
func Remove(path string) error { return os.Remove(path) }

// RemoveFile is Remove.
func RemoveFile(path string, _ fs.FileInfo) error { return Remove(path) }

// File returns nil.
func File(string) fs.FileInfo { return nil }

// FileID returns "".
func FileID(string) string { return "" }

// IsMissing reports false: nobody passes sockets here.
func IsMissing(string) bool { return false }

// Probe returns nil: nothing is known without listening here.
func Probe(string, string) error { return nil }

// IsBound reports false: nobody passes sockets here.
func IsBound(syscall.Conn, string) bool { return false }

// IsOwnFile reports false.
func IsOwnFile(syscall.Conn, string) bool { return false }
