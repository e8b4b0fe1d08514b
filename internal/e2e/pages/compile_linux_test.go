package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// Every block of Go on a page compiles, and is formatted. Blocks that are files ("```go main.go") are tested as such: see
// TestReadmeShowsHello, TestTutorial and TestRecipesAreWhatIsTested.
func TestGoBlocksCompile(t *testing.T) {
	of := make(map[string][]block) // by module
	met := make(map[string]bool)
	for _, page := range documents(t) {
		for _, b := range blocks(t, page) {
			if b.info != "go" {
				continue
			}
			module := "."
			if strings.Contains(b.text, "grpcx.") {
				module = "grpcx"
			}
			of[module] = append(of[module], b)
			met[b.page+"#"+b.heading] = true
			for _, part := range parts(b) {
				if text, err := format.Source([]byte(part)); err != nil || string(text) != part {
					t.Errorf("%s:%d: this is not formatted by gofmt (error: %v):\n%s", b.page, b.line, err, part)
				}
			}
		}
	}
	for place := range given {
		if !met[place] {
			t.Errorf("%s has no block of Go, and the test gives it something", place)
		}
	}
	if len(of["."]) < 10 || len(of["grpcx"]) == 0 {
		t.Fatalf("there are %d and %d blocks: this test does not find them", len(of["."]), len(of["grpcx"]))
	}
	for module, all := range of {
		t.Run("module "+module, func(t *testing.T) { compile(t, module, all) })
	}
}

// documents are the pages of the documentation.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	must(t, err)
	all := []string{"README.md"}
	for _, file := range files {
		all = append(all, "docs/"+filepath.Base(file))
	}
	return all
}

// compile builds the blocks, each as a package of its own below the module. Only the go command sees their files there, by an overlay.
func compile(t *testing.T, module string, all []block) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir, err := filepath.Abs(filepath.Join(root, module))
	must(t, err)
	if module != "." { // what it requires may not have been downloaded
		if out, err := goCommand(ctx, dir, "list", "-deps", ".").CombinedOutput(); err != nil {
			require.Missing(t, fmt.Sprintf("module %s: %v\n%s", module, err, out))
		}
	}
	replace := make(map[string]string)
	for i, b := range all {
		file := filepath.Join(t.TempDir(), "block.go")
		must(t, os.WriteFile(file, []byte(source(t, b)), 0o600))
		replace[filepath.Join(dir, "blocks", fmt.Sprint("b", i), "block.go")] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	must(t, os.WriteFile(overlay, text, 0o600))
	if out, err := goCommand(ctx, dir, "build", "-overlay", overlay, "./blocks/...").CombinedOutput(); err != nil {
		t.Errorf("go build: %v\n%s", err, out)
	}
}

func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOSUMDB=off")
	return cmd
}

var (
	packageClause = regexp.MustCompile(`(?m)^package `)
	declaration   = regexp.MustCompile(`^(//.*\n)*(func|import|type|var|const) `)
	// declared has the names that a statement which is not indented declares: the page need not use them.
	declared = regexp.MustCompile(`(?m)^(\w+(?:, \w+)*) := `)
)

// parts are what blank lines divide on the outermost level.
func parts(b block) []string {
	if packageClause.MatchString(b.text) {
		return []string{b.text}
	}
	var all []string
	for part := range strings.SplitAfterSeq(b.text, "\n\n") {
		if len(all) > 0 && (strings.HasPrefix(part, "\t") || strings.HasPrefix(part, "}")) {
			all[len(all)-1] += part
		} else {
			all = append(all, part)
		}
	}
	for i := range len(all) - 1 {
		all[i] = strings.TrimSuffix(all[i], "\n")
	}
	return all
}

// source is a block as a file: its declarations as they are, and its statements in functions.
func source(t *testing.T, b block) string {
	t.Helper()
	page, err := filepath.Abs(filepath.Join(root, b.page))
	must(t, err)
	if packageClause.MatchString(b.text) {
		return fmt.Sprintf("//line %s:%d\n%s", page, b.line, b.text)
	}
	var imports, body strings.Builder
	line := b.line
	for _, part := range parts(b) {
		at := fmt.Sprintf("\n//line %s:%d\n", page, line)
		line += strings.Count(part, "\n") + 1
		switch {
		case strings.HasPrefix(part, "import "):
			imports.WriteString(at + part)
		case declaration.MatchString(part):
			body.WriteString(at + part)
		default:
			body.WriteString("\nfunc _() {" + at + part + used(part) + "}\n")
		}
	}
	text := given[b.page+"#"+b.heading] + "\n" + body.String()
	return "package block\n" + needed(t, b, text) + imports.String() + text
}

// used has the names that statements declare used.
func used(statements string) string {
	var text strings.Builder
	for _, m := range declared.FindAllStringSubmatch(statements, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			fmt.Fprintf(&text, "_ = %s\n", name)
		}
	}
	return text.String()
}

// needed imports the packages that a text names.
func needed(t *testing.T, b block, text string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", "package block\n"+text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("%s:%d: %v", b.page, b.line, err)
	}
	var paths []string
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := s.X.(*ast.Ident); ok && packages[name.Name] != "" {
				paths = append(paths, fmt.Sprintf("import %s %q\n", name.Name, packages[name.Name]))
			}
		}
		return true
	})
	slices.Sort(paths)
	return strings.Join(slices.Compact(paths), "")
}
