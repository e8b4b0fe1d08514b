package main

import (
	"fmt"
	"os"
	"sync"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// rotator writes lines to a file, and renames that when it is full, as libraries do that rotate logs. It knows of no other process.
type rotator struct {
	mu            sync.Mutex
	path          string
	file          *os.File
	lines, backup int
}

const linesInAFile = 20

// logger is the program's own log, with the generation in its name.
var logger = sync.OnceValue(func() *rotator {
	if os.Getenv("OVERLAPPING") == "one log" {
		return &rotator{path: "own.log"}
	}
	return &rotator{path: fmt.Sprintf("own.%d.log", gozd.Generation())}
})

func writeLog(line string) (string, error) { return "", logger().write(line) }

func (r *rotator) write(line string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == linesInAFile {
		r.backup++
		if err := os.Rename(r.path, fmt.Sprintf("%s.%d", r.path, r.backup)); err != nil {
			return err
		}
		if err := r.file.Close(); err != nil {
			return err
		}
		r.file, r.lines = nil, 0
	}
	if r.file == nil {
		f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		r.file = f
	}
	r.lines++
	_, err := fmt.Fprintln(r.file, line)
	return err
}
