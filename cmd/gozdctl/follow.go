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
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// followFile has tail(1) print the last lines of the file at path, and then what is added, also by another file at this path, until
// ctx ends: that is no error. owner is the number of the user who says that it is there: see [asOwner].
func followFile(ctx context.Context, path string, lines, owner int, s *screen) error {
	cmd, err := asOwner(ctx, path, lines, owner)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if cmd == nil {
		if _, err := os.Stat(path); err != nil { // tail would wait for it
			return fmt.Errorf("log: %w", err)
		}
		cmd = exec.CommandContext(ctx, "tail", "-n", strconv.Itoa(lines), "-F", "--", path)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		process.CloseAllOnExec()
		err = process.WithNewKeyring(cmd.Start)
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	// The owner's other processes can take the pipe from tail, and trace tail: its end is not waited for any longer than ctx.
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	shown := show(out, s)
	if shown != nil || ctx.Err() != nil {
		_ = cmd.Process.Kill()
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		return nil
	}
	switch err = errors.Join(shown, err); {
	case err == nil, ctx.Err() != nil:
		return nil
	case cmd.ProcessState.ExitCode() == cannotRead:
		return fmt.Errorf("log: %s: user %s, who says that it is there, cannot read it", path, userName(owner))
	}
	return fmt.Errorf("log: tail: %w", err)
}

// cannotRead is the exit status of what [asOwner] starts where there is nothing to read.
const cannotRead = 126

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
