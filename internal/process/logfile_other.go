//go:build !unix

package process

import (
	"io/fs"
	"os"
)

func openLogFile(path string, _ int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, mode)
}
