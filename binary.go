package gozd

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// absoluteBinary makes argv[0] absolute. Symbolic links are left alone: a link
// that is pointed at another release is the new binary at the next upgrade.
func absoluteBinary(arg0 string) (string, error) {
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
