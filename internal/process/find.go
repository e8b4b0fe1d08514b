package process

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// FindBinary makes argv[0] absolute. Symbolic links are left alone: a link
// that is pointed at another release is the new binary at the next upgrade. The
// program may have left the directory in which argv[0] was right.
func FindBinary(arg0 string) (string, error) {
	if !filepath.IsAbs(arg0) && filepath.Base(arg0) != arg0 {
		arg0 = filepath.Join(StartDir, arg0)
	}
	path, err := exec.LookPath(arg0)
	if err != nil {
		return "", fmt.Errorf("gozd: find this program's binary: %w", err)
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("gozd: find this program's binary: %w", err)
	}
	return path, nil
}
