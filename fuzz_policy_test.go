package gozd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// TestFuzzTargetsAreInTheTable compares the table of readers in HACKING.md with the targets that there are, but for those
// of the tests' own clients.
func TestFuzzTargetsAreInTheTable(t *testing.T) {
	text, err := os.ReadFile("HACKING.md")
	if err != nil {
		t.Fatal(err)
	}
	table := inTable(string(text))
	var found []string
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if strings.HasPrefix(dir, "internal/testutil") {
			return nil
		}
		code, err := os.ReadFile(path)
		for _, match := range fuzzTarget.FindAllStringSubmatch(string(code), -1) {
			found = append(found, dir+" "+match[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	slices.Sort(table)
	if !slices.Equal(found, table) {
		t.Errorf("there are the targets\n%s\nand HACKING.md has\n%s", strings.Join(found, "\n"), strings.Join(table, "\n"))
	}
}

// inTable returns "package target" for all that the table of the section Fuzzing names.
func inTable(text string) []string {
	_, section, _ := strings.Cut(text, "\n## Fuzzing\n")
	section, _, _ = strings.Cut(section, "\n## ")
	word := regexp.MustCompile("`([a-z][a-z/0-9]*|Fuzz[A-Za-z]+)`")
	var all []string
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 { // with the empty ones at both ends
			continue
		}
		dir := ""
		for _, match := range word.FindAllStringSubmatch(cells[3], -1) {
			if !strings.HasPrefix(match[1], "Fuzz") {
				dir = match[1]
				continue
			}
			all = append(all, dir+" "+match[1])
		}
	}
	return all
}
