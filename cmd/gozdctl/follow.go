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

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

// followFile has tail(1) print the last lines of the file at path, and then what is added, also by another file at this path, until
// ctx ends: that is no error.
func followFile(ctx context.Context, path string, lines int, s *screen) error {
	if _, err := os.Stat(path); err != nil { // tail would wait for it
		return fmt.Errorf("log: %w", err)
	}
	cmd := exec.CommandContext(ctx, "tail", "-n", strconv.Itoa(lines), "-F", path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	shown := show(out, s)
	if shown != nil {
		_ = cmd.Process.Kill()
	}
	if err := errors.Join(shown, cmd.Wait()); err != nil && ctx.Err() == nil {
		return fmt.Errorf("log: tail: %w", err)
	}
	return nil
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
