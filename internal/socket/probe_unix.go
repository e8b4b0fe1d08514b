//go:build unix

package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// Probe returns the error that Listen would return for an address, and listens on
// nothing: no client can meet a socket that nobody accepts on. The error wraps the
// system's, syscall.EADDRINUSE where somebody else has the address. For the path of
// a Unix socket it changes no file, and connects to a socket that is there already.
func Probe(network, address string) error {
	if IsUnix(network) && !isAbstract(address) {
		if err := probePath(network, address); err != nil {
			return listenError(address, err)
		}
		return nil
	}
	ln, err := Bind(network, address, Options{UID: -1, GID: -1})
	if err != nil {
		return err
	}
	return ln.Close()
}

// probePath returns nil where there is nothing at path, or what probeFile lets pass.
func probePath(network, path string) error {
	info, err := safepath.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return probeFile(network, path, info)
}

// probeFile returns nil where the file at path is a socket that nobody answers on.
func probeFile(network, path string, info fs.FileInfo) error {
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("a file is there that is no socket (%v), and gozd does not remove it: %w", info.Mode(), syscall.EADDRINUSE)
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	c, err := dial(ctx, network, path)
	if err == nil {
		Leave(c)
		return fmt.Errorf("another process answers on it: %w", syscall.EADDRINUSE)
	}
	if errors.Is(err, syscall.EPROTOTYPE) {
		return fmt.Errorf("another process has a socket of another type there, not one of %s: %w", describe(network), syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}

func describe(network string) string {
	if IsPackets(network) {
		return "datagrams"
	}
	return "streams"
}
