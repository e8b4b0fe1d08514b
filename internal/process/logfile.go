package process

import "fmt"

// OpenLog opens the file at path for appending, with mode 0640 if it is new,
// and makes it the process's standard output and, as soon as nobody waits for it to be ready, standard error. Calling it
// again reopens the file, after logrotate has moved it away: what is written
// meanwhile goes to one file or the other. On an error the streams stay as
// they are. Root follows a symbolic link only if none but root could
// have put it there. Where others can write it opens only a file of id's, of the directory's owner or of its own.
func OpenLog(path string, id *Identity) error {
	uid := -1
	if id != nil {
		uid = id.UID
	}
	f, err := openLogFile(path, uid, 0o640)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := redirect(f); err != nil {
		return fmt.Errorf("log file %s: %w", path, err)
	}
	return nil
}
