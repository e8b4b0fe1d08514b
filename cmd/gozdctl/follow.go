package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// opener opens a log, which nobody can exchange any more then.
type opener func(ctx context.Context) (*os.File, error)

// printLog has tail(1) print the last lines of the file at path and, with follow, what is added, also by another file at this path, until
// ctx ends: that is no error. owner is the number of the user who says that the file is the log.
func printLog(ctx context.Context, path string, lines uint, follow bool, owner int, s *screen) error {
	open, err := openerOf(path, owner)
	if err == nil {
		err = printOpened(ctx, open, lines, follow, s)
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// openerOf opens a log that another user has named, or could exchange, with that user's rights.
func openerOf(path string, owner int) (opener, error) {
	whose := "who says that it is there"
	if owner <= 0 {
		var err error
		if owner, err = moverOf(path); err != nil {
			return nil, err
		}
		whose = "who could put another file there"
	}
	if os.Geteuid() != 0 || owner <= 0 {
		return func(context.Context) (*os.File, error) { return safepath.OpenRegular(path) }, nil
	}
	gid, err := groupOf(owner)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*os.File, error) {
		f, err := openAs(ctx, path, owner, gid)
		if err != nil {
			return nil, fmt.Errorf("user %s, %s, cannot read it: %v", userName(owner), whose, err) //nolint:errorlint // whoever calls has all rights
		}
		return f, nil
	}, nil
}

// moveTick is how often it is looked whether another file stands at the path of a log that is followed.
const moveTick = time.Second

// A log may be larger than anybody can read, and have hardly a line: whoever writes it decides. So the last lines are looked for no further
// from its end than endOfLog, and averageLine for each, in bytes.
const (
	endOfLog    = 64 << 20
	averageLine = 4 << 10
)

// showEnd shows the last lines of f as it is at first. head(1) gives them to tail, which would look at the size again, and could find another one. In the
// end f stands behind what has been read. Both are programs because a file can be such that nobody is done with reading it: they can be killed.
func showEnd(ctx context.Context, s *screen, f *os.File, lines uint) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := min(info.Size(), int64(endOfLog+averageLine*min(lines, 1<<30)))
	if lines == 0 {
		size = 0
	}
	if _, err := f.Seek(info.Size()-size, io.SeekStart); err != nil || size == 0 {
		return err
	}
	head := exec.CommandContext(ctx, "head", "-c", strconv.FormatInt(size, 10))
	head.Stdin = f
	end, err := head.StdoutPipe()
	if err != nil {
		return err
	}
	if err := start(ctx, head); err != nil || head.Process == nil {
		return err
	}
	err = tail(ctx, s, end, "-n", strconv.FormatUint(uint64(lines), 10))
	if err != nil {
		_ = head.Process.Kill()
	}
	if read := head.Wait(); err == nil && read != nil && ctx.Err() == nil {
		err = fmt.Errorf("head: %w", read)
	}
	if err == nil { // some read ahead
		_, err = f.Seek(info.Size(), io.SeekStart)
	}
	return err
}

// printOpened gives tail the file, and never the path.
func printOpened(ctx context.Context, open opener, lines uint, follow bool, s *screen) error {
	f, err := open(ctx)
	if err != nil {
		return err
	}
	if err := showEnd(ctx, s, f, lines); err != nil || !follow {
		_ = f.Close()
		return err
	}
	for f != nil && err == nil {
		read, end := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- tail(read, s, f, "-n", "+1", "-f") }()
		var next *os.File
		select {
		case next = <-awaitMove(read, f, open):
			end()
			err = <-ended
		case err = <-ended:
			end()
		}
		_ = f.Close()
		f = next
	}
	return err
}

// awaitMove sends the file that stands at the path instead of f, when all has been read of that, or f anew when that has become shorter: tail
// does not see it where it did not begin at the first byte. It sends nil when ctx ends.
func awaitMove(ctx context.Context, f *os.File, open opener) <-chan *os.File {
	moved := make(chan *os.File, 1)
	go func() {
		defer close(moved)
		was, err := f.Stat()
		if err != nil {
			return
		}
		size := was.Size()
		if at, err := f.Seek(0, io.SeekCurrent); err == nil {
			size = max(size, at) // it may have become shorter since it was opened
		}
		tick := time.NewTicker(moveTick)
		defer tick.Stop()
		var next *os.File
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				if next != nil {
					_ = next.Close()
				}
				return
			}
			if next != nil { // and tail has had time for what was written last
				moved <- next
				return
			}
			now, err := open(ctx)
			if err != nil {
				continue // it has been moved, and there is no other yet
			}
			info, err := now.Stat()
			switch {
			case err == nil && !os.SameFile(info, was):
				next = now
				continue
			case err == nil && info.Size() < size:
				moved <- now
				return
			case err == nil:
				size = info.Size()
			}
			_ = now.Close()
		}
	}()
	return moved
}

// tail shows what tail(1) prints of in, from where that stands, until it ends, or ctx does.
func tail(ctx context.Context, s *screen, in io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, "tail", args...)
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := start(ctx, cmd); err != nil || cmd.Process == nil {
		return err
	}
	shown := show(out, s)
	if shown != nil {
		_ = cmd.Process.Kill()
	}
	if err := cmd.Wait(); shown == nil && err != nil {
		shown = fmt.Errorf("tail: %w", err)
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was killed
	}
	return shown
}

// start starts a program that gets no other files. Where ctx has ended before, there is no process, and no error.
func start(ctx context.Context, cmd *exec.Cmd) error {
	process.CloseAllOnExec()
	err := cmd.Start()
	if ctx.Err() != nil && cmd.Process == nil {
		return nil
	}
	return err
}

// maxShown is the length of a line, in bytes, from which it is printed in pieces on a terminal.
const maxShown = 32 << 10

// show copies to s. A terminal must not obey what others have written into the log.
func show(from io.Reader, s *screen) error {
	if !s.terminal {
		_, err := io.Copy(s.w, from)
		return err
	}
	for lines := bufio.NewReaderSize(from, maxShown); ; {
		line, err := lines.ReadSlice('\n')
		if _, err := io.WriteString(s.w, printable.Text(string(line))); err != nil {
			return err
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil // tail has ended, and says why
		}
	}
}
