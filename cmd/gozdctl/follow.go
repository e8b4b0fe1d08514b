package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// followInterval is how often a log is looked at.
const followInterval = 200 * time.Millisecond

// followFile prints the last lines of the file at path, and then what is added, until ctx
// ends: that is no error. When another file stands at path, or the file has
// become shorter, it goes on at the beginning of what is there now, after the rest of the old one.
func followFile(ctx context.Context, path string, lines int, s *screen) error {
	f, err := process.OpenFile(path)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	t := &tail{path: path, file: f, s: s}
	defer func() { _ = t.file.Close() }()
	if err := t.seekLines(lines); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		if err := t.more(); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tail is a file that is being followed.
type tail struct {
	path string
	file *os.File
	at   int64 // what has been printed
	s    *screen
}

// more prints what has been added since.
func (t *tail) more() error {
	if err := t.copy(); err != nil {
		return err
	}
	next, err := t.successor()
	if next == nil || err != nil {
		return err
	}
	if err := t.copy(); err != nil { // written between the last look and the change
		_ = next.Close()
		return err
	}
	_ = t.file.Close()
	t.file, t.at = next, 0
	return t.copy()
}

func (t *tail) copy() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < t.at { // copytruncate of logrotate
		t.at = 0
	}
	added := io.NewSectionReader(t.file, t.at, info.Size()-t.at)
	if t.s.terminal {
		return t.show(added)
	}
	n, err := io.Copy(t.s.w, added)
	t.at += n
	return err
}

// show prints whole lines on a terminal, which must not obey what others have written into the log. A line that
// has not ended waits for its end.
func (t *tail) show(added io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := io.ReadFull(added, buf)
		whole := bytes.LastIndexByte(buf[:n], '\n') + 1
		if whole == 0 && n == len(buf) {
			whole = n // it is longer than anybody reads
		}
		if whole > 0 {
			if _, err := io.WriteString(t.s.w, printable.Text(string(buf[:whole]))); err != nil {
				return err
			}
			t.at += int64(whole)
		}
		if err != nil || whole == 0 {
			return nil //nolint:nilerr // the end, or what has not ended; a failing read fails again
		}
		added = io.NewSectionReader(t.file, t.at, math.MaxInt64-t.at)
	}
}

// successor opens the file that stands at the path now, if it is another one. Between the
// two there may be none for a while.
func (t *tail) successor() (*os.File, error) {
	next, err := process.OpenFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	here, err1 := t.file.Stat()
	there, err2 := next.Stat()
	if err := errors.Join(err1, err2); err != nil || os.SameFile(here, there) {
		_ = next.Close()
		return nil, err
	}
	return next, nil
}

// seekLines sets where to begin: the last n lines.
func (t *tail) seekLines(n int) error {
	const block = 4096
	size, err := t.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	t.at = size
	if n <= 0 {
		return nil
	}
	buf := make([]byte, block)
	for end := size; end > 0; {
		begin := max(end-block, 0)
		if _, err := t.file.ReadAt(buf[:end-begin], begin); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := end - begin - 1; i >= 0; i-- {
			if buf[i] != '\n' || begin+i == size-1 {
				continue
			}
			if n--; n <= 0 {
				t.at = begin + i + 1
				return nil
			}
		}
		end = begin
	}
	t.at = 0
	return nil
}
