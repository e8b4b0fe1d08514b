package config_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// maxAlloc is what reading a file of any content may take, in bytes, all that is freed meanwhile included.
const maxAlloc = 160 << 20

// parseFrugally returns the first error, and sees to it that it has cost little.
func parseFrugally(t *testing.T, file, data string) string {
	t.Helper()
	if len(data) > config.MaxSize {
		t.Fatalf("the file has %d bytes", len(data))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := config.Parse(file, []byte(data), noEnviron)
	said := fmt.Sprint(err)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > maxAlloc {
		t.Errorf("%s takes %d MiB", file, n>>20)
	}
	first, _, _ := strings.Cut(said, "\n")
	return first
}

// numbered repeats format with numbers.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// What a file of another user's costs whoever reads it is bounded, whatever is in the file.
func TestFilesThatCostMuch(t *testing.T) {
	const (
		aliases  = "aliases come to more than 131072 bytes, with all that they stand for written out"
		sections = " sections: 1000 is the most"
	)
	long := strings.Repeat("x", 30000)
	for _, test := range []struct{ name, file, data, want string }{
		{
			"a list of aliases in ten sections", "app.yaml",
			"s:\n  mode: https\n  cert: &k [&a " + long + strings.Repeat(",*a", 3000) + "]\n  key: *k\n" + numbered(9, "s%d: {mode: https, cert: *k, key: *k}\n"),
			"app.yaml:3: " + aliases,
		},
		{
			"aliases of aliases", "app.yaml",
			"a0: &a0 [x,x,x,x,x,x,x,x]\n" + func() (text string) {
				for i := range 8 {
					text += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 7), i)
				}
				return text
			}(),
			"app.yaml:6: " + aliases,
		},
		{
			"an alias that is merged again and again", "app.yaml",
			"x: &a {" + numbered(50, "k%d: 1,") + "}\ns:\n  <<: [" + strings.Repeat("*a,", 20000) + "*a]\n",
			"app.yaml:3: " + aliases,
		},
		{"keys", "app.yaml", "s: {" + numbered(1001, "k%d,") + "}", "app.yaml:1: mapping has 1001 keys: 1000 is the most"},
		{"native sections", "app.conf", numbered(12000, "[%x]\na\n"), "app.conf:2: [0]: a needs a value"},
		{"native groups", "app.conf", numbered(5000, "[%d]\nmode tcp\nlisten 1\n"), "app.conf: file has 5000" + sections},
		{"JSON groups", "app.json", "{" + numbered(7000, `"%d":{"a":1},`) + `"a":{}}`, "app.json: file has 7001" + sections},
		{"TOML groups", "app.toml", numbered(7000, "[%d]\nlisten=1\n"), "app.toml: file has 7000" + sections},
		{"lines in error", "/" + strings.Repeat("d", 4000) + "/app.conf", strings.Repeat("\x00\n", config.MaxSize/2), ""},
		{"pairs", "/" + strings.Repeat("d", 4000) + "/app.conf", "[a]\nmode https\nlisten 1\ncert a" + strings.Repeat(",a", 30000) + "\nkey a" + strings.Repeat(",a", 30000), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if said := parseFrugally(t, test.file, test.data); test.want != "" && said != test.want {
				t.Errorf("%.200s\nwant %s", said, test.want)
			}
		})
	}
}

// What people use aliases for goes on.
func TestAliasesAndMergeKeys(t *testing.T) {
	c, err := config.Parse("/app.yaml", []byte(`
web: &web
  mode: https
  listen: 443
  key: &keys [a.key, b.key]
  cert: *keys
admin:
  <<: *web
  listen: 444
`), noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	admin, ok := c.Group("admin")
	if !ok || admin.Listen.Address != ":444" || len(admin.Pairs) != 2 || admin.Pairs[1].Cert != "/b.key" {
		t.Errorf("admin is %+v", admin)
	}
	_, err = config.Parse("a.yaml", []byte("a: &x [*x]\n"), noEnviron)
	if want := "a.yaml: anchor 'x' value contains itself"; fmt.Sprint(err) != want {
		t.Errorf("Parse = %v\nwant %s", err, want)
	}
}

// A thousand pairs are well, in one group or in several; one more is not.
func TestKeyPairsAreBounded(t *testing.T) {
	group := func(name string, n int) string {
		files := strings.TrimSuffix(strings.Repeat("a,", n), ",")
		return fmt.Sprintf("[%s]\nmode https\nlisten %s.test:1\nkey %s\ncert %s\n", name, name, files, files)
	}
	for _, first := range []int{1000, 600} {
		text := group("a", first)
		if first < 1000 {
			text += group("b", 1000-first)
		}
		if _, err := config.Parse("app.conf", []byte(text), noEnviron); err != nil {
			t.Errorf("%d pairs in the first group: %.200s", first, err)
		}
	}
	parseErrors(t, "app.conf", group("a", 600)+group("b", 401),
		"app.conf:10: [b]: cert and key name too many files: with the groups before this one there are 1001 pairs, and 1000 is the most")
}

func TestSectionsAreBounded(t *testing.T) {
	text := "[gozd]\npidfile a.pid\n" + numbered(999, "[%d]\nmode tcp\nlisten h%[1]d:1\n")
	if c, err := config.Parse("app.conf", []byte(text), noEnviron); err != nil || len(c.Groups) != 999 {
		t.Errorf("Parse of 1000 sections: %.200s", err)
	}
	parseErrors(t, "app.conf", text+"[a]\nmode tcp\nlisten 1\n", "app.conf: file has 1001 sections: 1000 is the most")
}
