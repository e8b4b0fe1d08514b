package upgrade

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What the system says of real files is tested in internal/e2e.
func TestStartError(t *testing.T) {
	dir := t.TempDir()
	script, plain := filepath.Join(dir, "script"), filepath.Join(dir, "plain")
	for path, content := range map[string]string{script: "#! /no/sh -e\n", plain: "#!"} {
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		binary, asks string
		want         string
		is           error
	}{
		{script, "can't start child: can't start process x: fork/exec: no such file or directory", script + ": no such file or directory: it is there, but not the interpreter that it names: /no/sh", syscall.ENOENT},
		{plain, "can't start child: can't start process x: fork/exec: no such file or directory", plain + ": no such file or directory: it is there, but not the interpreter that it names", syscall.ENOENT},
		{dir + "/none", "can't start child: can't start process x: exec: \"x\": stat x: no such file or directory", dir + "/none: no such file or directory", syscall.ENOENT},
		{dir + "/go-build12/b001/exe/app", "can't start child: can't start process x: exec: \"x\": stat x: no such file or directory", dir + "/go-build12/b001/exe/app: no such file or directory: go run removes what it has built when the first process ends: build the program to upgrade it", syscall.ENOENT},
		{plain, "can't start child: can't start process x: fork/exec: permission denied", plain + ": permission denied: this user must not execute it", syscall.EACCES},
		{plain, "can't start child: pipe failed: too many open files", "can't start child: pipe failed: too many open files", nil},
		{plain, "child pid=7 exited: signal: bus error", "child pid=7 exited: signal: bus error: is " + plain + " whole?", nil},
		{plain, "child pid=7 exited: signal: killed", "child pid=7 exited: signal: killed", nil},
		{plain, "terminating", "terminating", nil},
	} {
		asks := errors.New(tt.asks)
		err := startError(tt.binary, asks)
		if err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%q is %q, want %q and %v", tt.asks, err, tt.want, tt.is)
		}
	}
}
