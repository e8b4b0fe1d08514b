package envfile_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/envfile"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       map[string]string
	}{
		{"nothing", "", nil},
		{"comments", "# a\n; b\n  # c\n\t;d=e\n", nil},
		{"values", "A=1\nB = two words \r\nC=\nexport D=4", map[string]string{"A": "1", "B": "two words", "C": "", "D": "4"}},
		{"comment behind a tab", "\t# a=b", nil},
		{"escaped quotes", `A="\"#\\" # c`, map[string]string{"A": `"#\`}},
		{"comment behind a value", "A=1 # one\nB=2  #two\nC=#three\nD=\t4\t", map[string]string{"A": "1", "B": "2", "C": "", "D": "4"}},
		{"semicolon in a value", "A=a;b ;c", map[string]string{"A": "a;b ;c"}},
		{"double quotes", `A=" # a\n\"b\" é"`, map[string]string{"A": " # a\n\"b\" é"}},
		{"single quotes", `A=' # \n"$B'`, map[string]string{"A": ` # \n"$B`}},
		{"quotes within", `A=a"#b"' c'`, map[string]string{"A": "a#b c"}},
		{"quotes and a comment", `A="b#c" # d#e`, map[string]string{"A": "b#c"}},
		{"nothing is expanded", `A=$B\n${C}`, map[string]string{"A": `$B\n${C}`}},
		{"equals signs", "A=b=c==", map[string]string{"A": "b=c=="}},
	} {
		got, _, err := envfile.Parse(tt.text)
		if err != nil || !maps.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestReadSaysWhereTheErrorIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.env")
	for _, tt := range []struct{ name, text, want string }{
		{"no equals sign", "A=1\n\nB", ":3: missing ="},
		{"no name", "=1", ":1: empty key"},
		{"bad name", "A-B=1", ":1: key characters must be"},
		{"open quote", "A=1\nB=\"a\nb\"", `:2: unmatched "`},
		{"bad escape", `A="\x"`, ":1: invalid escape"},
		{"control character", "A=\x01", ":1: 0x01 is an invalid value character"},
		{"tab in a value", "A=1\t2", ":1: 0x09 is an invalid value character"},
		{"twice", "A=1\nB=2\nA=3", ":3: A is already in line 1"},
		{"NUL", `A="\u0000"`, ":1: A holds a NUL byte"},
		{"hash in a value", "A=pass#word", ":1: a value with a # in it has to be in quotes"},
		{"hash behind an equals sign", "A=cGFzcw==#word", ":1: a value with a # in it has to be in quotes"},
		{"hash behind quotes", `A="b"#c`, ":1: a value with a # in it"},
		{"gozd's own", "A=1\ngozd_web_LISTEN=80", ":2: gozd_web_LISTEN cannot be set here: variables that begin with GOZD_ are read before this file"},
		{"long line", "A=1\nB=" + strings.Repeat("b", 1<<17), ":2: line is longer than 65536 bytes"},
		{"long file", strings.Repeat("#\n", 1<<20), ": longer than 1048576 bytes"},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := envfile.Read(path); err == nil || !strings.HasPrefix(err.Error(), path+tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, path+tt.want)
		}
	}
	if _, err := envfile.Read(path + ".missing"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+".missing") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := envfile.Read(t.TempDir()); err == nil {
		t.Error("a directory can be read")
	}
}

func TestApplyAndRestore(t *testing.T) {
	t.Setenv("ENVFILE_OLD", "old")
	t.Setenv("ENVFILE_EMPTY", "")
	t.Setenv("ENVFILE_NEW", "") // for the test's end only
	_ = os.Unsetenv("ENVFILE_NEW")
	before, err := envfile.Apply(map[string]string{"ENVFILE_OLD": "1", "ENVFILE_EMPTY": "2", "ENVFILE_NEW": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if old, empty, added := os.Getenv("ENVFILE_OLD"), os.Getenv("ENVFILE_EMPTY"), os.Getenv("ENVFILE_NEW"); old+empty+added != "123" {
		t.Errorf("after Apply: %q, %q, %q", old, empty, added)
	}
	envfile.Restore(before)
	wantBefore(t)

	if _, err := envfile.Apply(map[string]string{"ENVFILE_EMPTY": "1", "ENVFILE_OLD": "1", "ENVFILE_WRONG": "\x00"}); err == nil {
		t.Error("a NUL byte can be set")
	}
	wantBefore(t)
}

func wantBefore(t *testing.T) {
	t.Helper()
	if old := os.Getenv("ENVFILE_OLD"); old != "old" {
		t.Errorf("ENVFILE_OLD is %q, want what it was", old)
	}
	if empty, set := os.LookupEnv("ENVFILE_EMPTY"); empty != "" || !set {
		t.Errorf("ENVFILE_EMPTY is %q, set: %t, want it empty and set", empty, set)
	}
	if added, set := os.LookupEnv("ENVFILE_NEW"); set {
		t.Errorf("ENVFILE_NEW is %q, want it unset", added)
	}
}

// FuzzParse looks for panics and for values that a process cannot have, and reads
// what it has read once more.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"A=1\n# b\n; c\nexport D='e' # f", `A="\u00e9\n"`, `A="\ud83d\ude00`, "A=b#c", "GOZD_X=1", "A=\"#\\", "\ufeffA=1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		vars, line, err := envfile.Parse(text)
		if last := strings.Count(text, "\n") + 1; line < 1 || line > last {
			t.Fatalf("line %d of %d", line, last)
		}
		if err != nil {
			return
		}
		var again strings.Builder
		for name, value := range vars {
			if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
				t.Fatalf("%q=%q cannot be set", name, value)
			}
			again.WriteString(name + "=" + quote(value) + "\n")
		}
		got, _, err := envfile.Parse(again.String())
		if err != nil || !maps.Equal(got, vars) {
			t.Fatalf("%q: read again as %q, %v, want %q", again.String(), got, err, vars)
		}
	})
}

// quote writes a value in double quotes, in ASCII but for what is no UTF-8.
func quote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c < ' ':
			b.WriteString(`\u00` + strconv.FormatUint(uint64(c)+0x100, 16)[1:])
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

// What reading another user's file costs grows with its length, and no faster.
func TestFilesThatCostMuch(t *testing.T) {
	for name, text := range map[string]string{
		"hashes in quotes": `A="` + strings.Repeat("#", 20000) + `"`,
		"comments":         strings.Repeat("#\n", 100000),
		"empty lines":      strings.Repeat("\n", 200000),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := envfile.Parse(text)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err != nil || n > 32<<20 {
			t.Errorf("%s: %v, and %d MiB for %d kB", name, err, n>>20, len(text)>>10)
		}
	}
}
