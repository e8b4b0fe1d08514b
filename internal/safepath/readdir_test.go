package safepath_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// Of a directory that others fill, some names are enough; an empty one is no error.
func TestReadDirIsBounded(t *testing.T) {
	dir := t.TempDir()
	if entries, err := safepath.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("ReadDir of an empty one = %v, %v", entries, err)
	}
	for n := range safepath.MaxNames + 10 {
		if err := os.Mkdir(filepath.Join(dir, strconv.Itoa(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := safepath.ReadDir(dir); err != nil || len(entries) != safepath.MaxNames {
		t.Errorf("ReadDir = %d entries, %v, want %d", len(entries), err, safepath.MaxNames)
	}
}
