package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// State describes the serving generation. It is written when a generation has become ready, and again when its
// successor has come to nothing.
type State struct {
	PIDFile     string            `json:"pidfile,omitempty"` // to which the file belongs; set by WriteState
	PID         int               `json:"pid"`
	StartTime   uint64            `json:"start_time"` // as StartTime(PID) had it; 0 where that is not supported
	Generation  int               `json:"generation"`
	Since       time.Time         `json:"since"` // when it became ready
	Binary      string            `json:"binary"`
	Listen      map[string]string `json:"listen"` // group to address: "tcp 127.0.0.1:8080", "unix /run/x.sock"
	Config      string            `json:"config,omitempty"`
	UpgradeWait Duration          `json:"upgrade_wait"` // the longest that an upgrade may take until its outcome is known; from 0 to MaxWait when read
	StopWait    Duration          `json:"stop_wait"`    // the longest that the daemon may take to end when asked to stop; the same

	// Control says that the generation has a control socket, or is about to open it. Where the platform
	// has none, it does not say so.
	Control bool `json:"control,omitempty"`
}

// MaxWait bounds what a state file says of times: the daemon's user can write it, and whoever waits may be root.
const MaxWait = 24 * time.Hour

// bounded is d within what a state file may say; 0 where it says nonsense.
func (d Duration) bounded() Duration { return min(max(d, 0), Duration(MaxWait)) }

// Duration is a time.Duration that JSON holds as "1m0s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// StatePath returns the path of the state file that belongs to a PID file.
func StatePath(pidfile string) string { return pidfile + ".state" }

// WriteState writes the state file that belongs to a PID file, atomically. Where there is
// no room, or no right, for a new file, the old one is overwritten: whoever looks for the
// daemon believes it.
func WriteState(pidfile string, s *State) error {
	own := *s
	own.PIDFile, _ = filepath.Abs(pidfile) // it has no relative path where there is no working directory
	data, err := json.MarshalIndent(own, "", "  ")
	if err == nil {
		data = append(data, '\n')
		if err = replaceFile(StatePath(pidfile), data); err != nil && overwrite(StatePath(pidfile), data) == nil {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// overwrite changes a JSON file in its place, by one write that needs no more room than the
// file has, if it is not much longer. White space stands where it was longer before. Where others can write
// the file could be anything, also another one of this process's own: it is left alone.
func overwrite(path string, data []byte) error {
	if isShared(path) {
		return &fs.PathError{Op: "write", Path: path, Err: ErrUntrusted}
	}
	before, info, err := readControlFile(path)
	if err != nil {
		return err
	}
	f, err := openUnfollowed(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	now, err := f.Stat()
	if err == nil && (!os.SameFile(info, now) || !isOurs(now)) {
		err = &fs.PathError{Op: "write", Path: path, Err: ErrUntrusted}
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if n := len(before) - len(data); n > 0 {
		data = slices.Concat(data, bytes.Repeat([]byte{'\n'}, n))
	}
	if _, err = f.WriteAt(data, 0); err != nil {
		_, _ = f.WriteAt(before, 0)
	}
	return errors.Join(err, f.Close())
}

// ReadState reads the state file that belongs to a PID file. The error wraps
// fs.ErrNotExist where there is none.
func ReadState(pidfile string) (*State, error) {
	s, _, err := readState(pidfile)
	return s, err
}

func readState(pidfile string) (*State, fs.FileInfo, error) {
	data, info, err := readControlFile(StatePath(pidfile))
	if err != nil {
		return nil, nil, fmt.Errorf("state file: %w", err)
	}
	s := new(State)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, nil, fmt.Errorf("state file %s: %w", StatePath(pidfile), err)
	}
	s.UpgradeWait, s.StopWait = s.UpgradeWait.bounded(), s.StopWait.bounded()
	return s, info, nil
}
