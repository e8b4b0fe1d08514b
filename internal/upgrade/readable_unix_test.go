//go:build unix

package upgrade

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A binary of which nothing can be read is not started: a process that forks waits for it.
func TestAwaitReadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	silent := filepath.Join(dir, "silent") // stands for a file whose server does not answer
	if err := syscall.Mkfifo(silent, 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(silent, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := awaitReadable(silent, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), silent+": nothing of it could be read for 50ms") {
		t.Errorf("awaitReadable = %v", err)
	}
	if err := writer.Close(); err != nil { // ends the look
		t.Fatal(err)
	}
	for _, path := range []string{os.Args[0], dir, filepath.Join(dir, "nothing"), silent} { // exec says what is wrong with it
		if err := awaitReadable(path, time.Minute); err != nil {
			t.Errorf("awaitReadable(%s) = %v", path, err)
		}
	}
}
