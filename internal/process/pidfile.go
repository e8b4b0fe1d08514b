package process

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// WritePID writes pid into the file at path, atomically and with mode 0644.
func WritePID(path string, pid int) error {
	if err := replaceFile(path, pidText(pid)); err != nil {
		return fmt.Errorf("PID file: %w", err)
	}
	return nil
}

func pidText(pid int) []byte { return []byte(strconv.Itoa(pid) + "\n") }

// ReadPID returns the PID in the file at path. The error wraps fs.ErrNotExist
// where there is no file, and names path and content where that is no PID.
func ReadPID(path string) (int, error) {
	data, _, err := readControlFile(path)
	if err != nil {
		return 0, fmt.Errorf("PID file: %w", err)
	}
	pid, err := parsePID(data)
	if err != nil {
		return 0, fmt.Errorf("PID file %s: %w", path, err)
	}
	return pid, nil
}

func parsePID(data []byte) (int, error) {
	text := strings.TrimSpace(string(data))
	pid, err := strconv.ParseInt(text, 10, 32)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%q is no process ID", clip(text))
	}
	return int(pid), nil
}

// clip keeps an error message short, whatever file was named by mistake.
func clip(text string) string {
	const limit = 40
	if len(text) > limit {
		return text[:limit] + "..."
	}
	return text
}

// create makes a new file with just this mode, whatever the umask is. The error wraps
// fs.ErrExist where there is anything, a symbolic link included.
func create(path string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := openFile(path, flag|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		_ = f.Close()
		_ = unlink(path)
		return nil, err
	}
	return f, nil
}

// newPrefix begins the names of files that are to replace the one at path.
func newPrefix(path string) string { return "." + filepath.Base(path) + ".new." }

// replaceFile writes a new file and renames it over path, so that a reader sees
// the old content or the new. Its mode is 0644: monitoring reads it as another user. In a directory
// of another user's it is made, renamed and removed as safepath does that.
func replaceFile(path string, data []byte) error {
	f, name, err := createBeside(path)
	if err != nil {
		return err
	}
	if err = fault.Disk(); err == nil {
		_, err = f.Write(data)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = rename(name, path)
	}
	if err != nil {
		_ = unlink(name)
	}
	return err
}

// createBeside makes a file under a name that nobody has. Another user whose directory that is could be there first every
// time, if he knew the name.
func createBeside(path string) (f *os.File, name string, err error) {
	const tries = 100
	for range tries {
		name = filepath.Join(filepath.Dir(path), newPrefix(path)+rand.Text())
		f, err = create(name, os.O_WRONLY, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, name, err
}

// remove removes a file that may be missing.
func remove(path string) error {
	if err := unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// maxNew is how many files removeNew removes. Each is of an upgrade that was killed in the middle; others can make any number.
const maxNew = 64

// removeNew removes what processes have left that were killed while they replaced the file
// at path: a generation that is asked to stop kills the one that it has just started.
func removeNew(path string) error {
	entries, err := safepath.ReadDir(filepath.Dir(path))
	tried := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), newPrefix(path)) {
			continue
		}
		if tried++; tried > maxNew {
			break
		}
		err = errors.Join(err, remove(filepath.Join(filepath.Dir(path), e.Name())))
	}
	return err
}
