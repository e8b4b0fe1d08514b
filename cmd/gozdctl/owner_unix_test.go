//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// A user's configuration is his, also when a file of root's has its path a moment later: he may have moved one there.
func TestAuthorIsWhoseFileWasRead(t *testing.T) {
	require.Root(t)
	dir := t.TempDir()
	his, roots := filepath.Join(dir, "app.conf"), filepath.Join(dir, "roots.conf")
	for path, uid := range map[string]int{his: 12345, roots: 0} {
		require.NoError(t, os.WriteFile(path, []byte("[web]\nmode http\nlisten 127.0.0.1:0\n"), 0o644))
		require.NoError(t, os.Chown(path, uid, uid))
	}
	conf, err := config.Load(his, config.Options{Program: "app"})
	require.NoError(t, err)
	require.NoError(t, os.Rename(roots, his))
	if uid, err := authorOf(conf); uid != 12345 || err != nil {
		t.Errorf("the author is user %d, %v, want 12345", uid, err)
	}
}
