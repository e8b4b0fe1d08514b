//go:build !unix

package main

import (
	"context"
	"io/fs"
	"os/exec"
)

// ownerName is not known here.
func ownerName(fs.FileInfo) string { return "" }

// userName is not known here.
func userName(int) string { return "" }

// authorOf is not known here.
func authorOf(string) (int, error) { return -1, nil }

// asOwner returns nil.
func asOwner(context.Context, string, int, int) (*exec.Cmd, error) { return nil, nil }
