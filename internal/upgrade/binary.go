package upgrade

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// awaitReadable reads the beginning of the binary, and returns when that is done, whatever comes of it; but an error after limit.
//
// The kernel reads it between fork and exec, while the thread that has forked waits without Go's knowledge: the next garbage collection would
// wait for it, and with it every goroutine, for as long as a disk is slow, or a server of a file system does not answer.
func awaitReadable(binary string, limit time.Duration) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.OpenFile(binary, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a FIFO by now
		if err != nil {
			return // exec meets the same error, and says so
		}
		defer func() { _ = f.Close() }()
		_, _ = io.ReadFull(f, make([]byte, 64<<10))
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s: nothing of it could be read for %v: its file system does not answer", binary, limit)
	}
}

// startError says which binary could not be started, and why, in an operator's words.
func startError(binary string, ended error) error {
	if isIncomplete(ended) {
		return fmt.Errorf("%w: is %s whole?", ended, binary)
	}
	errno, refused := refusal(ended)
	if !refused {
		return ended
	}
	if hint := refusalHint(binary, errno); hint != "" {
		return fmt.Errorf("%s: %w: %s", binary, errno, hint)
	}
	return fmt.Errorf("%s: %w", binary, errno)
}

// refusalHint says what the system's error means for this file, if it is not clear by itself.
func refusalHint(binary string, errno syscall.Errno) string {
	info, err := os.Stat(binary)
	if err != nil && errno == syscall.ENOENT && isOfGoRun(binary) {
		return "go run removes what it has built when the first process ends: build the program to upgrade it"
	}
	if err != nil {
		return ""
	}
	switch errno {
	case syscall.ENOENT:
		return "it is there, but not the interpreter that it names" + interpreter(binary)
	case syscall.EACCES:
		if info.Mode().Perm()&0o111 == 0 {
			return fmt.Sprintf("it is not executable (%v)", info.Mode())
		}
		return "this user must not execute it"
	case syscall.ENOEXEC:
		if info.Size() == 0 {
			return "it is empty"
		}
		return fmt.Sprintf("it is no program for this machine (%s/%s)", runtime.GOOS, runtime.GOARCH)
	case syscall.ETXTBSY:
		return "it is still being written; install a new binary by rename"
	}
	return ""
}

// isOfGoRun recognises where go run puts a program: /tmp/go-build1234/b001/exe/app.
func isOfGoRun(binary string) bool {
	dir := filepath.Dir(binary)
	return filepath.Base(dir) == "exe" && strings.HasPrefix(filepath.Base(filepath.Dir(filepath.Dir(dir))), "go-build")
}

// interpreter is what a script names in its first line, after a colon. For other files it is empty: that of a
// program is the C library's loader.
func interpreter(script string) string {
	f, err := os.Open(script)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	line, err := bufio.NewReaderSize(f, 256).ReadSlice('\n') // the kernel reads no more (BINPRM_BUF_SIZE)
	name, isScript := strings.CutPrefix(string(line), "#!")
	if !isScript || err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return ""
	}
	if fields := strings.Fields(name); len(fields) > 0 {
		return ": " + fields[0]
	}
	return ""
}
