package trust

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is where the module begins.
const root = "../../.."

// testNames finds tests in a text, and functions that are tests in a source file.
var (
	testNames = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	testFuncs = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(\w+ \*testing\.`)
)

// TestTableNamesItsTests checks that each row of the boundaries in docs/security.md has a test, that each test that the page
// names exists, and that each test of this package is on the page.
func TestTableNamesItsTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := testsBelow(t, root)
	for name := range named(string(page)) {
		if !exists[name] {
			t.Errorf("docs/security.md names %s, which does not exist", name)
		}
	}
	_, table, _ := strings.Cut(string(page), "## The boundaries\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	const head = 2 // the names of the columns, and a line
	if len(rows) < head+15 {
		t.Fatalf("the table has %d lines", len(rows))
	}
	for _, row := range rows[head:] {
		if len(named(row)) == 0 {
			t.Errorf("a boundary has no test: %s", row)
		}
		if n := len(strings.Fields(row)); n > 90 {
			t.Errorf("a boundary has %d words, which nobody reads in a table: %s", n, row)
		}
	}
	for name := range testsBelow(t, ".") {
		if !named(string(page))[name] && name != t.Name() && name != "TestMain" {
			t.Errorf("docs/security.md does not name %s", name)
		}
	}
}

// named are the tests that a text names.
func named(text string) map[string]bool {
	names := make(map[string]bool)
	for _, match := range testNames.FindAllStringSubmatch(text, -1) {
		names[match[1]] = true
	}
	return names
}

// testsBelow are the tests in a directory and those below it, whatever system they are for.
func testsBelow(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, match := range testFuncs.FindAllStringSubmatch(string(data), -1) {
			names[match[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
