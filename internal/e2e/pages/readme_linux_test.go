package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The program and the configuration on the README's first screen are examples/hello.
func TestReadmeShowsHello(t *testing.T) {
	for info, file := range map[string]string{"go main.go": "main.go", "ini app.conf": "app.conf"} {
		wantFile(t, one(t, "README.md", info), "examples/hello/"+file)
	}
}

// wantFile fails the test unless a block is a file, but for the comment above a program.
func wantFile(t *testing.T, b block, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	must(t, err)
	if _, program, ok := strings.Cut(string(text), "\npackage main\n"); ok {
		text = []byte("package main\n" + program)
	}
	if b.text != string(text) {
		t.Errorf("%s:%d: this is not %s:\n%s", b.page, b.line, file, b.text)
	}
}

// one is the only block of its kind on a page.
func one(t *testing.T, page, info string) block {
	t.Helper()
	var all []block
	for _, b := range blocks(t, page) {
		if b.info == info {
			all = append(all, b)
		}
	}
	if len(all) != 1 {
		t.Fatalf("%s has %d blocks %q, want one", page, len(all), info)
	}
	return all[0]
}

// What the README tells a reader to type in a clone does what it says.
func TestReadmeCommands(t *testing.T) {
	s := newSession(t)
	clone, err := filepath.Abs(root)
	must(t, err)
	s.write(".cwd", clone)
	s.replace([]string{"bin/", s.dir + "/", "cd bin", "cd " + s.dir}, "/home/you/gozd/bin", ":8080")
	s.env = append(s.env, "GOZD_WEB_LISTEN="+s.typed.Replace("127.0.0.1:8080"))
	s.do(one(t, "README.md", "console"))
}
