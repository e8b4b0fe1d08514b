package config_test

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// web returns a tree of one section [web].
func web(values map[string]any) map[string]any {
	return map[string]any{"web": values}
}

func TestNative(t *testing.T) {
	tests := []struct {
		name, in string
		want     map[string]any
	}{
		{"nothing", "", map[string]any{}},
		{"comments only", "# a\n  ; b\n\n\t\n", map[string]any{}},
		{"spaces", "[web]\nmode     tcp\n", web(map[string]any{"mode": "tcp"})},
		{"tab", "[web]\n\tmode\ttcp", web(map[string]any{"mode": "tcp"})},
		{"equals sign", "[web]\nmode = tcp", web(map[string]any{"mode": "tcp"})},
		{"equals sign without space", "[web]\nmode=tcp", web(map[string]any{"mode": "tcp"})},
		{"equals sign in the value", "[web]\nlog /var/a=b", web(map[string]any{"log": "/var/a=b"})},
		{"two equals signs", "[web]\nlog = =x", web(map[string]any{"log": "=x"})},
		{"value of two words", "[web]\nlog a  b \t", web(map[string]any{"log": "a  b"})},
		{"comment after a value", "[web]\nmode tcp # or http", web(map[string]any{"mode": "tcp"})},
		{"comment after a tab", "[web]\nmode tcp\t; or http", web(map[string]any{"mode": "tcp"})},
		{"no comment without space", "[web]\nlog a#b;c", web(map[string]any{"log": "a#b;c"})},
		{"comment after a section", "[web] # first\nmode tcp", web(map[string]any{"mode": "tcp"})},
		{"comment touches a section", "[web]; first\nmode tcp", web(map[string]any{"mode": "tcp"})},
		{"spaces around a name", "  [ web\t] \nmode tcp", web(map[string]any{"mode": "tcp"})},
		{"section with nothing in it", "[web]", web(map[string]any{})},
		{"quotes", `[web]` + "\n" + `log " # a;\t\"" ; b`, web(map[string]any{"log": " # a;\t\""})},
		{"empty quotes", "[web]\nlog \"\"", web(map[string]any{"log": ""})},
		{"quote inside", "[web]\nlog a\"b", web(map[string]any{"log": `a"b`})},
		{"backslashes are nothing special", `[web]` + "\n" + `log C:\new`, web(map[string]any{"log": `C:\new`})},
		{"CRLF", "[web]\r\nmode tcp\r\n\r\n", web(map[string]any{"mode": "tcp"})},
		{"byte order mark", "\ufeff[web]\nmode tcp", web(map[string]any{"mode": "tcp"})},
		{"not ASCII", "[web]\nlog /var/größe", web(map[string]any{"log": "/var/größe"})},
		{"case of names matters", "[Web]\na 1\n[web]\nA 2\na 3", map[string]any{
			"Web": map[string]any{"a": "1"}, "web": map[string]any{"A": "2", "a": "3"},
		}},
		{"all characters of names", "[0.A-z_]\na.B-c_9 1", map[string]any{"0.A-z_": map[string]any{"a.B-c_9": "1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.ParseNative([]byte(tt.in))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseNative(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestNativeErrors(t *testing.T) {
	const badName = ` is not a name for a section: it takes ASCII letters, digits, _, - and ., ` +
		`begins with a letter or digit, and has at most 64 bytes`
	long := strings.Repeat("x", 65)
	tests := []struct {
		name, in, want string
	}{
		{"section does not close", "[web\nmode tcp", `line 1: section has no closing "]"`},
		{"text after a section", "[web] mode tcp", `line 1: unexpected "mode tcp" after the section`},
		{"section without a name", "[ ]", `line 1: ""` + badName},
		{"space in a name", "[we b]", `line 1: "we b"` + badName},
		{"name begins with a hyphen", "[-web]", `line 1: "-web"` + badName},
		{"name too long", "[" + long + "]", `line 1: "` + long + `"` + badName},
		{"section twice", "[web]\na 1\n[b]\n[web]\na 2", `line 4: [web]: section is already in line 1`},
		{"key twice", "[web]\na 1\n\na 2", `line 4: [web]: a is already in line 2`},
		{"key before any section", "a 1\nb 2\n[web]", `line 1: "a" stands before any section`},
		{"key without a value", "[web]\nmode", "line 2: [web]: mode needs a value"},
		{"key with only an equals sign", "[web]\nmode = ", "line 2: [web]: mode needs a value"},
		{"key with only a comment", "[web]\nmode # tcp", "line 2: [web]: mode needs a value"},
		{"no key", "[web]\n= tcp", "line 2: line has no key"},
		{"bad key", "[web]\nmode: tcp", `line 2: [web]: "mode:" is not a key`},
		{"no-break space", "[web]\nmode\u00a0tcp", `line 2: [web]: "mode\u00a0tcp" is not a key`},
		{"quote does not end", "[web]\nlog \"a", "line 2: [web]: log has a quote that does not end, or a bad escape in it"},
		{"bad escape", `[web]` + "\n" + `log "C:\new\q"`, "line 2: [web]: log has a quote that does not end, or a bad escape in it"},
		{"text after a quote", "[web]\nlog \"a\" b", `line 2: [web]: log has "b" after its closing quote`},
		{"comment touches a quote", "[web]\nlog \"a\"# b", `line 2: [web]: log has "# b" after its closing quote`},
		{"NUL", "[web]\nlog a\x00b", "line 2: line holds a NUL byte"},
		{"NUL as an escape", `[web]` + "\n" + `log "a\x00b"`, "line 2: [web]: log is not valid UTF-8, or holds a NUL byte"},
		{"not UTF-8", "[web]\nlog a\xff", "line 2: line is not valid UTF-8"},
		{"not UTF-8 as an escape", `[web]` + "\n" + `log "\xff"`, "line 2: [web]: log is not valid UTF-8, or holds a NUL byte"},
		{"several, in order", "x 1\n[web]\nmode\n[web]\n[b", strings.Join([]string{
			`line 1: "x" stands before any section`,
			`line 3: [web]: mode needs a value`,
			`line 4: [web]: section is already in line 2`,
			`line 5: section has no closing "]"`,
		}, "\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.ParseNative([]byte(tt.in))
			if err == nil || err.Error() != tt.want {
				t.Errorf("ParseNative(%q) = %v, %v\nwant %s", tt.in, got, err, tt.want)
			}
			var all cfg.Errors
			if !errors.As(err, &all) {
				t.Errorf("error is a %T, want Errors", err)
			}
		})
	}
}

// FuzzNative takes its input both for a file and for a value in one: what Go quotes is read as it was.
func FuzzNative(f *testing.F) {
	for _, s := range []string{
		"", "[web]\nmode tcp\nlisten = 443 # x\n", "\ufeff[a]\r\nk \"v;\"\r\n", "[a]\n[b]\nk =v", "k v\n[a", "[a]\nk \"\\u00ff\"",
		" x", "=", "\"", "a #b", "a\rb", "\u2028", "\ufeff", "\x00", "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = config.ParseNative(data)
		got, err := config.ParseNative([]byte("[web]\nlog " + strconv.Quote(string(data)) + " # a value"))
		if valid := utf8.Valid(data) && !bytes.Contains(data, []byte{0}); (err == nil) != valid {
			t.Fatalf("ParseNative of the value %q: %v", data, err)
		}
		if want := web(map[string]any{"log": string(data)}); err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("ParseNative = %q, want %q", got, want)
		}
	})
}
