package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
)

// pidRoom is what the longest PID takes, with a line feed. Linux has none above 4,194,304.
const pidRoom = 16

// nextPIDPath names the file that is to become the PID file of a generation.
func nextPIDPath(path string, generation int) string {
	return filepath.Join(filepath.Dir(path), newPrefix(path)+strconv.Itoa(generation))
}

// PrepareNextPID makes an empty file that can become the PID file at path, and takes its room on the
// disk, for the process that is to be the next generation: making a file costs more than half a
// millisecond on ext4, and whoever has asked for an upgrade would wait for it. The caller closes
// it, and calls [DiscardNextPID] when it knows how the upgrade went.
func PrepareNextPID(path string, generation int) (*os.File, error) {
	name := nextPIDPath(path, generation)
	_ = remove(name) // of somebody who was killed; or what follows fails
	f, err := openFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("PID file: %w", err)
	}
	if err = fault.Disk(); err == nil {
		err = f.Chmod(0o644) // whatever the umask is
	}
	if err == nil {
		err = allocate(f, pidRoom)
	}
	if err != nil {
		_ = f.Close()
		_ = unlink(name)
		return nil, fmt.Errorf("PID file: %w", err)
	}
	return f, nil
}

// CommitNextPID writes pid into a file from [PrepareNextPID] and renames it to path, which is as atomic
// as WritePID. It closes f.
func CommitNextPID(f *os.File, path string, generation, pid int) error {
	_, err := f.Write(pidText(pid))
	name := nextPIDPath(path, generation)
	if err == nil {
		err = isFile(f, name)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = rename(name, path)
	}
	if err != nil {
		return fmt.Errorf("PID file: %w", err)
	}
	return nil
}

// isFile checks that nobody has put another file in the place of f.
func isFile(f *os.File, name string) error {
	is, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(name)
	if err == nil && !os.SameFile(is, there) {
		err = fmt.Errorf("%s is another file", name)
	}
	return err
}

// DiscardNextPID removes a file from [PrepareNextPID] that has not become the PID file.
func DiscardNextPID(path string, generation int) { _ = remove(nextPIDPath(path, generation)) }
