package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// maxFile bounds what a client can have this process write to disk.
const maxFile = 256 << 20

// files holds the paths of real files of the sizes that were asked for.
var files struct {
	mu  sync.Mutex // guards dir
	dir string
}

// file serves a real file of the size asked for, 10 MiB by default.
func file(w http.ResponseWriter, r *http.Request) {
	size, err := number(r, "size", 10<<20)
	if err == nil && (size < 0 || size > maxFile) {
		err = errors.New("size is out of range")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f, err := openFile(size)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, f)
}

// openFile opens the file of that size, and writes it first if there is none. Its
// content depends on nothing but the size.
func openFile(size int) (*os.File, error) {
	files.mu.Lock()
	defer files.mu.Unlock()
	if files.dir == "" {
		dir, err := os.MkdirTemp("", "mixed-")
		if err != nil {
			return nil, err
		}
		files.dir = dir
	}
	path := filepath.Join(files.dir, strconv.Itoa(size))
	if f, err := os.Open(path); err == nil {
		return f, nil
	}
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func removeFiles() {
	files.mu.Lock()
	defer files.mu.Unlock()
	if files.dir != "" {
		_ = os.RemoveAll(files.dir)
	}
}
