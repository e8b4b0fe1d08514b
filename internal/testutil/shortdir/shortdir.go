// Package shortdir has directories for tests whose names are short: the path of a
// Unix socket must fit into 107 bytes, on macOS into 103, and t.TempDir has the name
// of the test in it.
package shortdir

import (
	"os"
	"testing"
)

// Make makes a directory that goes with the test.
func Make(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "gozd-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
