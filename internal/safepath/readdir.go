package safepath

import (
	"errors"
	"io"
	"io/fs"
)

// MaxNames bounds what is looked at of a directory in which others can make files: who has time can make millions of them. It is far beyond
// what lies beside a PID file.
const MaxNames = 4096

// ReadDir returns the first [MaxNames] entries of a directory, in no order, by [Walk]. It is for tidying up: what it does not see stays.
func ReadDir(path string) ([]fs.DirEntry, error) {
	f, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	entries, err := f.ReadDir(MaxNames)
	if errors.Is(err, io.EOF) { // there is none
		err = nil
	}
	return entries, err
}
