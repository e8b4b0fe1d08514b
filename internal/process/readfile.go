package process

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxControlFile bounds what is read of a daemon's PID and state file, in bytes: whoever owns
// their directory can put anything of any length there.
const maxControlFile = 1 << 20

// openControlFile opens for reading a file that another user may have put there. It follows no symbolic link,
// waits for nobody, and refuses what is no regular file: a FIFO would block the reader, and a device may have no end.
func openControlFile(path string) (*os.File, fs.FileInfo, error) {
	f, err := openUnfollowed(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("not a regular file (%v)", info.Mode().Type())}
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
	data, err := io.ReadAll(io.LimitReader(f, maxControlFile+1))
	if err == nil && len(data) > maxControlFile {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("longer than %d bytes", maxControlFile)}
	}
	return data, info, err
}
