//go:build unix

package config_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// Whoever may write in the directory of the configuration must not be able to block a start.
func TestFIFOIsNoConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.conf")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, config.Options{}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Load = %v, want that it is no regular file", err)
	}
}
