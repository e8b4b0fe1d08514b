//go:build unix

package upgrade

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func newStderrFile(t *testing.T) *stderrFile {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &stderrFile{file: f}
}

// A successor's words are those behind what others have written before it.
func TestStderrSince(t *testing.T) {
	t.Parallel()
	s := newStderrFile(t)
	write := func(text string) {
		t.Helper()
		if _, err := s.file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("of an earlier one\n")
	from := s.size()
	write("panic: boom\n")
	if got := s.since(from); from != int64(len("of an earlier one\n")) || got != "panic: boom\n" {
		t.Errorf("from %d on it has written %q", from, got)
	}
}

// Nobody waits for whoever does not read this process's standard error: an upgrade that has failed would never be over.
func TestStderrThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStderrFile(t)
		if _, err := s.file.WriteString("panic: boom\n"); err != nil {
			t.Fatal(err)
		}
		flush := make(chan chan<- struct{}, 1) // whoever reads it writes, for ever
		s.copier = &stderrCopier{file: s.file, flush: flush}
		for range 2 { // it has heard of the first only
			began := time.Now()
			if got := s.since(0); got != "panic: boom\n" || time.Since(began) != stderrInterval {
				t.Errorf("after %v it is known that the process has written %q", time.Since(began), got)
			}
		}
	})
}

// Only one generation copies: one that has been replaced does not any more, and one that serves again does.
func TestStderrIsLeft(t *testing.T) {
	t.Parallel()
	s := newStderrFile(t)
	s.leave() // nobody copies
	for range 2 {
		s.copyFrom(s.size())
		c := s.copier
		s.leave()
		<-c.stop
		if s.copier != nil {
			t.Error("it still copies")
		}
	}
}

func TestWithoutAStderrFile(t *testing.T) {
	t.Parallel()
	s := &stderrFile{}
	s.copyFrom(0)
	s.leave()
	if s.size() != 0 || s.since(0) != "" {
		t.Error("it has words")
	}
}
