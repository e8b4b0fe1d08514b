//go:build !linux

package safepath

import (
	"io/fs"
	"os"
)

// Stat is os.Stat.
func Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// Lstat is os.Lstat.
func Lstat(path string) (fs.FileInfo, error) { return os.Lstat(path) }

func openDir(path string) (*os.File, error) { return os.Open(path) }

// IsMagicLink reports false: there is no such /proc.
func IsMagicLink(string) bool { return false }

// IsOfProc reports false, too.
func IsOfProc(*os.File) bool { return false }
