//go:build !unix

package main

import "io/fs"

// ownerName is not known here.
func ownerName(fs.FileInfo) string { return "" }
