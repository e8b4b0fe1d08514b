//go:build !unix

package safepath

import (
	"fmt"
	"os"
)

// OpenRegular opens the regular file at path for reading.
func OpenRegular(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = pathError("open", path, fmt.Errorf("not a regular file (%v)", info.Mode().Type()))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
