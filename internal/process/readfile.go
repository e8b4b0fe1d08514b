package process

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// maxControlFile bounds what is read of a daemon's PID and state file, in bytes: whoever owns
// their directory can put anything of any length there.
const maxControlFile = 1 << 20

// openControlFile opens for reading a file that another user may have put there. It follows no symbolic link,
// waits for nobody, and refuses what is no regular file: a FIFO would block the reader, and a device may have no end. It refuses
// one of several names, too: where the kernel allows for that, anybody can have another user's file in his own directory.
func openControlFile(path string) (*os.File, fs.FileInfo, error) {
	f, err := openUnfollowed(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	f, info, err := regular(f)
	if err == nil && safepath.IsOfProc(f) {
		_ = f.Close()
		return nil, nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("a file of /proc: %w", ErrUntrusted)}
	}
	if err == nil && names(info) > 1 { // 0 is one that has been replaced meanwhile
		_ = f.Close()
		return nil, nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it has %d names: %w", names(info), ErrUntrusted)}
	}
	return f, info, err
}

// ReadFile reads the whole of a file that the operator or the configuration names, by the rules of [safepath.OpenRegular]. One that has more
// than limit bytes is an error.
func ReadFile(path string, limit int) ([]byte, error) {
	f, err := safepath.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAtMost(f, limit)
}

// regular returns f and what it is, or closes it.
func regular(f *os.File) (*os.File, fs.FileInfo, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: f.Name(), Err: fmt.Errorf("not a regular file (%v)", info.Mode().Type())}
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// readControlFile reads a whole file by the rules of openControlFile.
func readControlFile(path string) ([]byte, fs.FileInfo, error) {
	f, info, err := openControlFile(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := readAtMost(f, maxControlFile)
	return data, info, err
}

func readAtMost(f *os.File, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%s: longer than %d bytes", f.Name(), limit)
	}
	return data, err
}
