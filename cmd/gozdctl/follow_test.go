package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
)

// sink is what was printed, for a test that looks while more is printed.
type sink struct{ lockedbuf.Buffer }

func (s *sink) await(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.String() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it prints %q, want %q", s.String(), want)
		}
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A log is followed when it is moved away, when it is missing for a while, and when it is cut.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	appendTo(t, path, "one\ntwo\nthree\n")
	out := new(sink)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- followFile(ctx, path, 2, newScreen(out, os.Getenv)) }()
	out.await(t, "two\nthree\n")
	appendTo(t, path, "four\n")
	out.await(t, "two\nthree\nfour\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path+".1", "late\n") // by who has not reopened it yet
	out.await(t, "two\nthree\nfour\nlate\n")
	appendTo(t, path, "new\n")
	out.await(t, "two\nthree\nfour\nlate\nnew\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	out.await(t, "two\nthree\nfour\nlate\nnew\n")
	appendTo(t, path, "x\n")
	out.await(t, "two\nthree\nfour\nlate\nnew\nx\n")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the end is an error: %v", err)
	}
}

func TestLastLines(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 99)+"\n", 100) // more than a block
	for _, test := range []struct {
		name, text string
		n          int
		want       string
	}{
		{"empty", "", 10, ""},
		{"fewer", "a\nb\n", 10, "a\nb\n"},
		{"as many", "a\nb\n", 2, "a\nb\n"},
		{"more", "a\nb\nc\n", 2, "b\nc\n"},
		{"none", "a\nb\n", 0, ""},
		{"the last is not complete", "a\nb\nc", 2, "b\nc"},
		{"empty lines", "a\n\n\n", 2, "\n\n"},
		{"many blocks", long, 90, long[:90*100]},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			appendTo(t, path, test.text)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			var out bytes.Buffer
			tail := &tail{path: path, file: f, s: newScreen(&out, os.Getenv)}
			if err := tail.seekLines(test.n); err != nil {
				t.Fatal(err)
			}
			if err := tail.more(); err != nil || out.String() != test.want {
				t.Errorf("the last %d lines are %q, %v, want %q", test.n, out.String(), err, test.want)
			}
		})
	}
}

func TestFollowNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.log")
	if err := followFile(t.Context(), path, 1, newScreen(io.Discard, os.Getenv)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("followFile = %v, want an error that names the file", err)
	}
}

// What stands in a log may be a stranger's, and a terminal obeys control characters.
func TestFollowOnATerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	long := strings.Repeat("é", 40<<10)
	appendTo(t, path, "\x1b]0;owned\a\x1b[31mhi\nhalf")
	out := new(sink)
	screen := newScreen(out, os.Getenv)
	screen.terminal = true
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- followFile(ctx, path, 10, screen) }()
	const first = `\x1b]0;owned\x07\x1b[31mhi` + "\n"
	out.await(t, first)
	appendTo(t, path, " and half\n")
	out.await(t, first+"half and half\n")
	appendTo(t, path, long+"\nlast\n")
	for deadline := time.Now().Add(30 * time.Second); !strings.HasSuffix(out.String(), "\nlast\n"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the line after a long one is not printed")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
