package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// A log is followed when it is moved away, and when it is cut.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	appendTo(t, path, "one\ntwo\nthree\n")
	out := new(sink)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- printLog(ctx, path, 2, true, 0, newScreen(out, os.Getenv)) }()
	out.await(t, "two\nthree\n")
	appendTo(t, path, "four\n")
	out.await(t, "two\nthree\nfour\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "new\n")
	out.await(t, "two\nthree\nfour\nnew\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	out.await(t, "two\nthree\nfour\nnew\n")
	appendTo(t, path, "x\n")
	out.await(t, "two\nthree\nfour\nnew\nx\n")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the end is an error: %v", err)
	}
}

// A log of terabytes without a line, which costs nobody anything to write, is not read from end to end.
func TestEndOfAHugeLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	appendTo(t, path, "first\n")
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Skip(err) // a file system without holes
	}
	appendTo(t, path, "\none\ntwo\n")
	out := new(sink)
	began := time.Now()
	if err := printLog(t.Context(), path, 2, false, 0, newScreen(out, os.Getenv)); err != nil || out.String() != "one\ntwo\n" {
		t.Errorf("printLog = %v, %q", err, out.String())
	}
	size := new(counter)
	if err := printLog(t.Context(), path, 10, false, 0, newScreen(size, os.Getenv)); err != nil || size.n > 65<<20 {
		t.Errorf("printLog = %v, %d bytes", err, size.n)
	}
	t.Logf("after %v", time.Since(began))
}

// What its writer makes of a log while that is opened is looked at from its end, or not at all.
func TestEndOfALogThatGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	for range 20 {
		if err := os.WriteFile(path, make([]byte, 8<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		var growing sync.WaitGroup
		open := func(context.Context) (*os.File, error) {
			f, err := os.Open(path)
			growing.Go(func() {
				if err := os.Truncate(path, 1<<43); err != nil { // holes cost nothing
					t.Error(err)
				}
			})
			return f, err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		size := new(counter)
		if err := printOpened(ctx, open, 1, false, newScreen(size, os.Getenv)); err != nil || ctx.Err() != nil || size.n > 65<<20 {
			t.Fatalf("printOpened = %v, %v, %d bytes", err, ctx.Err(), size.n)
		}
		cancel()
		growing.Wait()
	}
}

// No line is a line, too, however long the log is.
func TestNoLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	appendTo(t, path, strings.Repeat("line\n", 1<<18))
	out := new(sink)
	if err := printLog(t.Context(), path, 0, false, 0, newScreen(out, os.Getenv)); err != nil || out.String() != "" {
		t.Errorf("printLog = %v, %q", err, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- printLog(ctx, path, 0, true, 0, newScreen(out, os.Getenv)) }()
	for n := 0; out.String() == ""; n++ { // when it follows is not known
		appendTo(t, path, "new\n")
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil || strings.Contains(out.String(), "line") {
		t.Errorf("printLog = %v, %q", err, out.String())
	}
}

// A log that is emptied, as logrotate's copytruncate does, is followed from its beginning.
func TestFollowAnEmptiedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	appendTo(t, path, strings.Repeat("before\n", 1000))
	out := new(sink)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- printLog(ctx, path, 1, true, 0, newScreen(out, os.Getenv)) }()
	out.await(t, "before\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "after\n")
	out.await(t, "before\nafter\n")
	appendTo(t, path, "and more\n")
	out.await(t, "before\nafter\nand more\n")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Whoever has seen enough, while the end is shown, has made no mistake.
func TestInterruptedWhileTheEndIsShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	appendTo(t, path, strings.Repeat("line\n", 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	if err := printLog(ctx, path, 1<<20, true, 0, newScreen(writing(cancel), os.Getenv)); err != nil {
		t.Error(err)
	}
}

// writing is called whenever something is printed.
type writing func()

func (w writing) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

// counter counts what is printed.
type counter struct{ n int }

func (c *counter) Write(b []byte) (int, error) {
	c.n += len(b)
	return len(b), nil
}

func TestFollowNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.log")
	if err := printLog(t.Context(), path, 1, true, 0, newScreen(io.Discard, os.Getenv)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("printLog = %v, want an error that names the file", err)
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
	go func() { ended <- printLog(ctx, path, 10, true, 0, screen) }()
	const first = `\x1b]0;owned\x07\x1b[31mhi` + "\n"
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
