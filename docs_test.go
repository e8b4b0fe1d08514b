package gozd_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile("(?m)^#{1,6} (.*)$")
	inCode     = regexp.MustCompile("`[^`\n]*`")
	notInSlugs = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// Links in the README and in all other pages lead to a file that is there, and to a heading in it.
func TestPolicyLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		text := inCode.ReplaceAllString(prose(t, page), "")
		for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", page, m[1], err)
			} else if anchor != "" && !anchors(prose(t, target))[anchor] {
				t.Errorf("%s: link to %s: there is no such heading", page, m[1])
			}
		}
	}
	if links < 100 {
		t.Errorf("there are %d links: this test does not find them", links)
	}
}

// pages are all Markdown files.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "bin" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// prose is a page without its blocks of code.
func prose(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var prose strings.Builder
	code := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		} else if !code {
			prose.WriteString(line)
		}
	}
	return prose.String()
}

// anchors are what a link can name on a page, made of headings as GitHub does.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.ReplaceAll(notInSlugs.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		anchor := name
		for n := 1; all[anchor]; n++ {
			anchor = fmt.Sprintf("%s-%d", name, n)
		}
		all[anchor] = true
	}
	return all
}

// Lines with a prompt stand in blocks marked "console", on pages whose commands a test of internal/e2e/pages types. What cannot be run there has no
// prompt.
func TestPolicyCommandsAreRun(t *testing.T) {
	tests, err := filepath.Glob("internal/e2e/pages/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var run strings.Builder
	for _, name := range tests {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if typesCommands.Match(text) {
			run.Write(text)
		}
	}
	commands := 0
	for _, page := range pages(t) {
		info := "" // of the block
		for n, line := range linesOf(t, page) {
			if fence, ok := strings.CutPrefix(line, "```"); ok {
				info = fence
			}
			if !strings.HasPrefix(strings.TrimLeft(line, " \t"), "$ ") {
				continue
			}
			commands++
			if kind, _, _ := strings.Cut(info, " "); kind != "console" {
				t.Errorf("%s:%d: a command outside of a block of console: %s", page, n+1, line)
			} else if !strings.Contains(run.String(), `"`+filepath.ToSlash(page)+`"`) {
				t.Errorf("%s:%d: no test of internal/e2e/pages types the commands of this page", page, n+1)
			}
		}
	}
	if commands < 40 {
		t.Errorf("there are %d commands: this test does not find them", commands)
	}
}

// typesCommands is what a test of internal/e2e/pages does with a block.
var typesCommands = regexp.MustCompile(`s\.(do|commandsOf)\(`)

// linesOf are the lines of a page.
func linesOf(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
