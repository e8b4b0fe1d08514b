package gozd_test

import (
	"cmp"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var update = flag.Bool("update", false, "add the rows that docs/errors.md lacks, and remove those of errors that are gone")

const errorsPage = "docs/errors.md"

// says has the argument that is the text of an error, by the function that makes one, and the package where it has that name; "" is any.
var says = map[[2]string]int{
	{"", "errors.New"}:                    0,
	{"", "fmt.Errorf"}:                    0,
	{"cmd/gozdctl", "usageError"}:         0,
	{"cmd/gozdctl", "impatience"}:         0,
	{"cmd/gozdctl", "fail"}:               0, // in unit.go
	{"internal/config", "s.fail"}:         2,
	{"internal/config", "s.newError"}:     2,
	{"internal/config", "p.fail"}:         2,
	{"internal/control/client", "after"}:  1,
	{"internal/control/server", "s.fail"}: 3,
}

// inWords are functions and constants of other names, in whose literals the words of errors are.
var inWords = map[[2]string]bool{
	{"", "Error"}:                       true, // the method
	{"cmd/gozdctl", "unknownCommand"}:   true,
	{"internal/config", "badName"}:      true,
	{"internal/config", "badValue"}:     true,
	{"internal/config", "choice"}:       true,
	{"internal/config", "unknownKey"}:   true,
	{"internal/config", "parseQuoted"}:  true,
	{"internal/config", "parseValue"}:   true,
	{"internal/config", "readEntry"}:    true,
	{"internal/config", "single"}:       true,
	{"internal/format", "Missing"}:      true,
	{"internal/format", "Said"}:         true,
	{"internal/upgrade", "interpreter"}: true,
	{"internal/upgrade", "refusalHint"}: true,
}

// errorAreas are the headings of the page, each with the directories and files whose errors stand below it. The longest one that an error is
// in counts, and the first area that has the text.
var errorAreas = []struct {
	heading string
	in      []string
}{
	{"Configuration", []string{"internal/config", "cfg", "internal/format", "internal/envfile", "internal/check"}},
	{"Start", []string{".", "internal/command", "internal/engine/start.go", "internal/engine/ready.go", "internal/host", "internal/process", "internal/report", "internal/runfiles"}},
	{"Sockets", []string{"internal/socket", "internal/groups", "internal/tickets"}},
	{"Becoming a user and trusting files", []string{
		"internal/safepath", "internal/process/access_unix.go", "internal/process/capabilities_linux.go", "internal/process/give_unix.go",
		"internal/process/logfile.go", "internal/process/logfile_unix.go", "internal/process/privileges_unix.go", "internal/process/readfile.go",
		"internal/process/record.go", "internal/process/runtimedir.go", "internal/process/signalroom_linux.go", "internal/process/threads_linux.go",
		"internal/process/trust_unix.go", "internal/process/user_linux.go",
	}},
	{"Upgrade", []string{"internal/engine", "internal/upgrade", "internal/command/reload.go"}},
	{"Serving and connections", []string{"errors.go", "handlers.go", "listen", "httpx", "fcgix", "tcpx", "wsx", "internal/listener", "internal/packet", "internal/h2move", "internal/groups/drain.go", "internal/handover", "internal/fdpass", "internal/tlsrec", "internal/tlswatch"}},
	{"Control socket and gozdctl", []string{"cmd/gozdctl", "internal/control", "internal/totals", "internal/exposition", "internal/engine/counting.go"}},
	{"systemd and the supervisor", []string{"internal/supervise", "internal/activation", "internal/engine/supervisor.go"}},
}

// unseen are texts that only other code sees, or that are part of one which has a row.
var unseen = map[string]string{
	", it is one of …":                "stands behind `unknown … \"…\"`",
	", pid …":                         "is part of `already running`",
	"… (PID file …)":                  "is part of `already running`",
	"…: -s reload upgrades it":        "stands behind `already running`",
	": did you mean …?":               "stands behind `unknown command`",
	"gozd: group \"…\": … (it has …)": "stands around `no such group in the configuration`",
	"listen: …":                       "names the key in front of what is wrong with an address",
	"pid …: …":                        "names the process in front of its own words",
	"… after …":                       "is put together of two that have a row",

	"listen: woken":                       "has an adapter look whether its connection moves",
	"locked":                              "becomes `already running`",
	"printed":                             "stands for an error that has been printed",
	"socket: held":                        "has the net package give up a socket, and is matched",
	"the configuration is not good":       "gives the findings of a check their exit status, and is not shown",
	"the dry run is over: it could serve": "is how the parent learns of a success",
	"listen: it stays":                    "has a parked connection be accepted",
	"try again":                           "keeps Accept in its loop",
	"listen: something is under way":      "keeps a connection where it is until it is idle",
	"usage":                               "gives an error its exit status, and is not shown",

	"only … fields after the name": "is said of a line in /proc that no kernel writes",
	"/proc/…/status: … user IDs":   "is said of a line in /proc that no kernel writes",
	"supervise: it needs Linux":    "is for a system where nothing calls it",

	"tls: failed to send closeNotify alert (but connection was closed anyway): …": "is what crypto/tls says",
	"tls: handshake buffer not empty before setting read traffic secret":          "is what crypto/tls says",
	"tls: handshake message of length … bytes exceeds maximum of … bytes":         "is what crypto/tls says",
	"tls: protocol is shutdown":                            "is what crypto/tls says",
	"tls: received unexpected handshake message of type …": "is what crypto/tls says",
	"tlsrec: a state is not for JSON":                      "is for the author of this package's callers",
	"tlswatch: audit of a connection that has not moved":   "is for the author of this package's callers",
}

var (
	verb = regexp.MustCompile(`%[-+# 0]*(\[\d+\])?[a-zA-Z]`)
	// A text that wraps another has a row if there is one of these words in front of the other, or any word behind it. Without them it names
	// only what was being done: "open log: …".
	telling = regexp.MustCompile(`(?i)\b(is|are|was|has|have|had|can|cannot|could|may|must|does|died|ended|needs|takes|no|none|not|nobody|nothing|` +
		`another|others|elsewhere|everybody|instead|left|longer|more|leads|answers|belongs)\b`)
)

// TestErrorsPage checks that docs/errors.md has a row for each error that an operator or a program's author can meet, with its cause, and
// no other. With -update it writes the rows, without causes.
func TestErrorsPage(t *testing.T) {
	texts := errorTexts(t)
	if len(texts) < 200 {
		t.Fatalf("there are %d texts: this test does not find them", len(texts))
	}
	for text, why := range unseen {
		if _, there := texts[text]; !there || why == "" {
			t.Errorf("%q is in unseen, and no error says it, or there is no reason", text)
		}
		delete(texts, text)
	}
	page, err := os.ReadFile(errorsPage)
	if err != nil {
		t.Fatal(err)
	}
	causes := make(map[string]string)
	for _, m := range errorRow.FindAllStringSubmatch(string(page), -1) {
		text := strings.ReplaceAll(m[1], `\|`, "|")
		if _, again := causes[text]; again {
			t.Errorf("%s has two rows for %q", errorsPage, text)
		}
		causes[text] = m[2]
	}
	want := withRows(t, string(page), texts, causes)
	if *update && want != string(page) {
		if err := os.WriteFile(errorsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for text, place := range texts {
		if cause, there := causes[text]; !there && !*update {
			t.Errorf("%s: no row for %q: go test -run TestErrorsPage -update . adds it", place.file, text)
		} else if cause == "" {
			t.Errorf("%s: %q has no cause in %s", place.file, text, errorsPage)
		}
	}
	for text := range causes {
		if _, there := texts[text]; !there && !*update {
			t.Errorf("%s has a row for %q, which no error says: -update removes it", errorsPage, text)
		}
	}
	if want != string(page) && !*update && !t.Failed() {
		t.Errorf("the rows of %s are not where they belong: -update sorts them", errorsPage)
	}
}

var errorRow = regexp.MustCompile("(?m)^\\| `([^`\n]*)` \\| *(.*?) *\\|$")

// withRows is page with one row for each text.
func withRows(t *testing.T, page string, texts map[string]errorPlace, causes map[string]string) string {
	t.Helper()
	const head = "\n| text | cause, and what to do |\n|---|---|\n"
	for i, area := range errorAreas {
		begin := strings.Index(page, "\n## "+area.heading+"\n")
		table := strings.Index(page[max(begin, 0):], head)
		if begin < 0 || table < 0 {
			t.Fatalf("%s has no table below a heading %q", errorsPage, area.heading)
		}
		rows := strings.Builder{}
		for _, text := range slices.SortedFunc(maps.Keys(texts), byWords) {
			if texts[text].area == i {
				rows.WriteString("| `" + strings.ReplaceAll(text, "|", `\|`) + "` | " + causes[text] + " |\n")
			}
		}
		begin += table + len(head)
		end := begin
		for strings.HasPrefix(page[end:], "|") {
			end += strings.Index(page[end:], "\n") + 1
		}
		page = page[:begin] + rows.String() + page[end:]
	}
	return page
}

// byWords compares texts by their words.
func byWords(a, b string) int {
	words := func(s string) string {
		return strings.ToLower(strings.TrimLeftFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }))
	}
	return cmp.Or(cmp.Compare(words(a), words(b)), cmp.Compare(a, b))
}

// errorPlace is where an error is made.
type errorPlace struct {
	file string
	area int // an index of errorAreas
}

// errorTexts are the texts of all errors that say something of their own.
func errorTexts(t *testing.T) map[string]errorPlace {
	t.Helper()
	all := make(map[string]errorPlace)
	for _, p := range packages(t) {
		if p.isFree() || within(p.name(), "internal/tools") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(p.name()+"/", "./") + filepath.Base(path)
			for _, format := range formatsIn(p.name(), file) {
				if !tells(format) {
					continue
				}
				text, area := asShown(format), areaOf(t, name)
				if before, there := all[text]; !there || area < before.area {
					all[text] = errorPlace{name, area}
				}
			}
		}
	}
	return all
}

func areaOf(t *testing.T, file string) int {
	t.Helper()
	area, longest := -1, -1
	for i, a := range errorAreas {
		for _, path := range a.in {
			if n := len(strings.TrimPrefix(path, ".")); n > longest && (within(file, path) || n == 0 && !strings.Contains(file, "/")) {
				area, longest = i, n
			}
		}
	}
	if area < 0 {
		t.Errorf("%s is in no area: say in errorAreas in which one", file)
	}
	return max(area, 0)
}

// formatsIn are the formats of all errors in a file.
func formatsIn(pkg string, file *ast.File) (formats []string) {
	for _, decl := range file.Decls {
		wordy := false
		ast.Inspect(decl, func(n ast.Node) bool {
			var text ast.Expr
			switch n := n.(type) {
			case *ast.FuncDecl:
				wordy = inWords[[2]string{pkg, n.Name.Name}] || n.Recv != nil && inWords[[2]string{"", n.Name.Name}]
			case *ast.ValueSpec:
				wordy = inWords[[2]string{pkg, n.Names[0].Name}]
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Msg" {
					text = n.Value
				}
			case *ast.AssignStmt:
				if to, ok := n.Lhs[0].(*ast.SelectorExpr); ok && to.Sel.Name == "Msg" {
					text = n.Rhs[0]
				}
			case *ast.CallExpr:
				text = textOf(pkg, n)
			case *ast.BasicLit, *ast.BinaryExpr:
				if wordy {
					text = n.(ast.Expr)
				}
			}
			if text == nil {
				return true
			}
			if format := formatOf(text); !wordy || strings.Contains(strings.TrimSpace(format), " ") {
				formats = append(formats, format)
			}
			_, nested := text.(*ast.CallExpr)
			return nested
		})
	}
	return formats
}

// textOf is the argument of a call that is the text of an error, or nil.
func textOf(pkg string, call *ast.CallExpr) ast.Expr {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			name = x.Name + "." + f.Sel.Name
		}
	}
	for _, in := range []string{pkg, ""} {
		if i, ok := says[[2]string{in, name}]; ok && i < len(call.Args) {
			return call.Args[i]
		}
	}
	return nil
}

// formatOf is what an expression says, with a verb for what is not known.
func formatOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return s
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return formatOf(e.X) + formatOf(e.Y)
		}
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return formatOf(e.Args[0])
		}
	}
	return "%v"
}

// tells reports whether a format says something of its own.
func tells(format string) bool {
	if !strings.ContainsFunc(verb.ReplaceAllString(format, ""), unicode.IsLetter) {
		return false
	}
	before, after, wraps := strings.Cut(format, "%w")
	return !wraps || telling.MatchString(before) || strings.ContainsFunc(verb.ReplaceAllString(after, ""), unicode.IsLetter)
}

// asShown is a format as the page has it.
func asShown(format string) string {
	text := verb.ReplaceAllStringFunc(format, func(v string) string {
		if strings.HasSuffix(v, "q") {
			return `"…"`
		}
		return "…"
	})
	return strings.TrimSpace(strings.ReplaceAll(text, "%%", "%"))
}
