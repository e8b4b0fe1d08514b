//go:build linux

package main

import (
	"os"
	"path/filepath"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/plots"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
)

// writePictures writes all pictures of the result into dir.
func writePictures(r report.Result, dir string) error {
	for name, data := range plots.All(r) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil { //nolint:gosec // it is for everybody
			return err
		}
	}
	return nil
}
