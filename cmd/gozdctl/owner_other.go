//go:build !unix

package main

import (
	"io/fs"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// ownerName is not known here.
func ownerName(fs.FileInfo) string { return "" }

// isOursOrRoots is not known here.
func isOursOrRoots(fs.DirEntry) bool { return true }

// userName is not known here.
func userName(int) string { return "" }

// authorOf is not known here.
func authorOf(*config.Config) (int, error) { return -1, nil }

// groupOf is not known here.
func groupOf(int) (int, error) { return -1, nil }

func moverOf(string) (int, error) { return -1, nil }
